import { COLOURS, arrow, picture, rectangle, text, type Box } from './svg.ts'

interface Process extends Box {
  readonly title: string
  readonly lines: readonly string[]
  /** Not a process that this program starts. */
  readonly isForeign?: boolean
}

const HIGH = 66
const ROWS = [92, 204, 316, 428] as const
const PUBLISHER: Box = { x: 20, y: 52, width: 234, height: 462 }
const READER: Box = { x: 322, y: 52, width: 498, height: 462 }
const LEFT = { x: 36, width: 202, height: HIGH }
const MIDDLE = { x: 338, width: 202, height: HIGH }
const RIGHT = { x: 614, width: 190, height: HIGH }

const PROCESSES = {
  share: {
    ...{ ...LEFT, y: ROWS[0] },
    title: 'command: share',
    lines: ['reads files, cuts chunks,', 'compresses them']
  },
  seeder: {
    ...{ ...LEFT, y: ROWS[3] },
    title: 'daemon',
    lines: ['store and swarm;', 'encrypts, seeds']
  },
  boot: {
    ...{ ...MIDDLE, y: ROWS[0] },
    title: 'command: boot',
    lines: ['starts the others,', 'waits until ready']
  },
  runner: {
    ...{ ...MIDDLE, y: ROWS[1] },
    title: 'runner',
    lines: ['one per container:', 'overlay, console, log']
  },
  mounter: {
    ...{ ...MIDDLE, y: ROWS[2] },
    title: 'mounter',
    lines: ['one per image version:', 'decodes and serves content']
  },
  fetcher: {
    ...{ ...MIDDLE, y: ROWS[3] },
    title: 'daemon',
    lines: ['store and swarm;', 'fetches, verifies, seeds']
  },
  container: {
    ...{ ...RIGHT, y: ROWS[1] },
    title: 'container',
    lines: ['programs of the image,', 'with user ids of its own'],
    isForeign: true
  },
  kernel: {
    ...{ ...RIGHT, y: ROWS[2] },
    title: 'kernel',
    lines: ['EROFS and page cache;', 'asks on first touch only'],
    isForeign: true
  },
  standby: {
    ...{ ...RIGHT, y: ROWS[3] },
    title: 'standby',
    lines: ['one per mounter: starts', 'a successor if it dies']
  }
} satisfies Record<string, Process>

/** The processes of a share and of a boot, and how they talk. */
export function processesPicture(): string {
  const { share, seeder, boot, runner, mounter, fetcher, container, kernel, standby } = PROCESSES
  const elbow = ROWS[3] - 22
  const links = [
    ...down(share, seeder, 'unix socket'),
    ...down(boot, runner, 'starts'),
    ...down(runner, mounter, 'lease (open connection)'),
    ...down(mounter, fetcher, 'unix socket'),
    ...down(container, kernel, 'reads a page'),
    ...across(runner, container, 'nspawn'),
    ...across(kernel, mounter, 'FUSE'),
    ...across(seeder, fetcher, 'blocks'),
    arrow([
      [standby.x + 40, standby.y],
      [standby.x + 40, elbow],
      [mounter.x + mounter.width - 20, elbow],
      [mounter.x + mounter.width - 20, mounter.y + HIGH]
    ]),
    text(standby.x + 48, elbow + 5, 'watches', { size: 12, colour: COLOURS.faint })
  ]
  return picture(
    558,
    {
      title: 'The processes of dat-container',
      description:
        'On the publisher: share talks to its daemon by a unix socket. On the reader: boot starts a runner, which starts ' +
        'the container by systemd-nspawn and holds a lease of the mounter. The kernel asks the mounter by FUSE, the mounter ' +
        'asks the daemon by a unix socket, and the daemons exchange encrypted blocks. A standby replaces a mounter that dies.'
    },
    [
      panel(PUBLISHER, 'publisher'),
      panel(READER, 'reader'),
      ...links,
      ...Object.values(PROCESSES).flatMap(drawn),
      text(
        24,
        540,
        'Green: processes of dat-container. The container and its mount survive the command and the daemon.',
        { size: 13, colour: COLOURS.faint }
      )
    ]
  )
}

function panel(box: Box, title: string): string {
  return (
    rectangle(box, COLOURS.panel, COLOURS.frame, 6) +
    text(box.x + 2, box.y - 12, `${title}’s machine`, { size: 16, bold: true })
  )
}

function drawn({ title, lines, isForeign = false, ...box }: Process): string[] {
  const [fill, stroke] = isForeign
    ? [COLOURS.background, COLOURS.faint]
    : [COLOURS.ourLight, COLOURS.ours]
  return [
    rectangle(box, fill, stroke, 5),
    text(box.x + 12, box.y + 21, title, { size: 15, bold: true }),
    ...lines.map((line, n) => text(box.x + 12, box.y + 39 + 17 * n, line, { size: 13 }))
  ]
}

function down(from: Box, to: Box, label: string): string[] {
  const x = from.x + 40
  return [
    arrow([
      [x, from.y + from.height],
      [x, to.y]
    ]),
    text(x + 8, from.y + from.height + 27, label, { size: 12, colour: COLOURS.faint })
  ]
}

/** An arrow between neighbours, with its label above the middle. */
function across(from: Box, to: Box, label: string): string[] {
  const y = from.y + from.height / 2
  const [start, end] = from.x < to.x ? [from.x + from.width, to.x] : [from.x, to.x + to.width]
  return [
    arrow([
      [start, y],
      [end, y]
    ]),
    text((start + end) / 2, y - 8, label, { size: 12, colour: COLOURS.faint, anchor: 'middle' })
  ]
}
