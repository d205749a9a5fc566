import type { ImageReference } from '../../p2p/link.ts'
import type { Command } from 'commander'
import type { ImageListing } from '../../rpc/protocol.ts'
import { checkImageName } from '../../image/format/image-name.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { printable } from '../print/output.ts'
import { eachOf } from '../print/each-of.ts'
import { interruptible } from '../print/interrupt.ts'
import { Seeking } from '../print/seeking.ts'
import { peerTimeoutOption } from '../parse/peer-timeout.ts'
import { fittedTable, table } from '../print/table.ts'

/** With nothing coming for so long, peers have told what they have. */
const SETTLED_MS = 3_000

export function addImages(program: Command): void {
  program
    .command('images')
    .description('list the images on this machine')
    .option('-q, --quiet', 'print only keys')
    .addHelpText('after', '\nExample:\n  dat-container images --json')
    .action(async (flags: { links?: boolean; quiet?: boolean }, command: Command) => {
      await images(flags, readGlobals(command))
    })
  program
    .command('unseed')
    .alias('rmi')
    .description('stop serving an image and free its blocks')
    .argument('<images...>', 'name, beginning of the key, link or mirror link of each image')
    .option('-f, --force', 'also remove an image that is in use or was published here')
    .addHelpText(
      'after',
      '\nIf you remove an image that was published here, its key is kept. Pull its link from a peer to publish new versions\n' +
        'again. If no peer has the image, it is lost. Containers and mounts of a removed image wait for peers.\n' +
        '\nExample:\n  dat-container unseed debian'
    )
    .action(async (names: ImageReference[], flags: { force?: boolean }, command: Command) => {
      await unseed(names, flags.force ?? false, readGlobals(command))
    })
  program
    .command('mirror')
    .description('keep a copy of an image available without being able to read it')
    .argument('<mirror-link>', 'a link; a secret in it is ignored')
    .option('-n, --name <name>', 'local name for it')
    .option('--wait', 'return when the copy is complete')
    .addOption(peerTimeoutOption())
    .addHelpText('after', "\nExample:\n  dat-container mirror 'dat://KEY'")
    .action(
      async (
        link: ImageReference,
        flags: { name?: string; wait?: boolean; peerTimeout: number },
        command: Command
      ) => {
        if (flags.name !== undefined) checkImageName(flags.name)
        await mirror(link, flags, readGlobals(command))
      }
    )
}

async function images(
  { links = false, quiet = false }: { links?: boolean; quiet?: boolean },
  globals: Globals
): Promise<void> {
  const { default: prettyBytes } = await import('pretty-bytes')
  const { METHODS } = await import('../../rpc/protocol.ts')
  using client = await connect(globals)
  const list = await client.request(METHODS.images, null)
  const listed = (rows: string[][]): string[] => (links ? table(rows) : fittedTable(rows))
  globals.output.result(list, () =>
    quiet
      ? list.map(({ key }) => key)
      : listed([
          ['NAME', 'ROLE', 'VERSION', 'HELD', 'STORED', 'PEERS', links ? 'LINK' : 'KEY'],
          ...list.map((image) => [
            printable(image.name),
            image.role,
            image.version === null ? '-' : String(image.version),
            `${image.blocksHeld}/${image.blocksKnown}`,
            prettyBytes(image.storedBytes),
            String(image.peers),
            links ? (image.link ?? image.mirrorLink) : image.key
          ])
        ])
  )
}

async function unseed(
  names: readonly ImageReference[],
  force: boolean,
  globals: Globals
): Promise<void> {
  const { METHODS } = await import('../../rpc/protocol.ts')
  using client = await connect(globals)
  if (!force) {
    const images = await client.request(METHODS.images, null)
    for (const image of names) await requireUnused(image, images, globals)
  }
  const [only, ...more] = await eachOf(names, globals.output, (image) =>
    client.request(METHODS.forget, { image, force })
  )
  if (only === undefined) return
  globals.output.result(names.length === 1 ? only : [only, ...more], () =>
    [only, ...more].map(({ name, role, forked }) => {
      const loss =
        role === 'owner' && !forked
          ? '; to publish it again, pull its link while a peer has it'
          : ''
      return `${printable(name)} is no longer on this machine${loss}`
    })
  )
}

/** @throws ContainerError `BUSY` when containers or mounts of this home stand on it */
async function requireUnused(
  image: ImageReference,
  images: readonly ImageListing[],
  { home }: Globals
): Promise<void> {
  const { describeUsers, imageUsers } = await import('../../boot/containers/image-users.ts')
  const { formatKey } = await import('../../p2p/link.ts')
  const { imagesMeant } = await import('../../p2p/key-prefix.ts')
  const { ContainerError } = await import('../../core/errors.ts')
  const key = image.link && formatKey(image.link.key)
  const [found] = key
    ? images.filter((one) => one.key === key)
    : imagesMeant(images, image.toString(), (one) => one)
  // What there is not, the daemon says.
  if (!found) return
  const used = describeUsers(await imageUsers(home, found.key))
  if (used === '') return
  throw new ContainerError('BUSY', `image ${found.name} is used by ${used}`, {
    hint: 'remove those first (dat-container rm, umount); with --force, what they still have to read must come from peers'
  })
}

async function mirror(
  link: ImageReference,
  flags: { name?: string; wait?: boolean; peerTimeout: number },
  globals: Globals
): Promise<void> {
  const { METHODS } = await import('../../rpc/protocol.ts')
  const { progressBar } = await import('../print/progress.ts')
  using client = await connect(globals)
  await interruptible(async (signal) => {
    const request = { link, peerTimeoutMs: flags.peerTimeout }
    const seeking = new Seeking(globals.output, flags.peerTimeout, false)
    let state = await client
      .request(
        METHODS.mirror,
        flags.name === undefined ? request : { ...request, name: flags.name }
      )
      .finally(() => seeking.found())
    using bar = progressBar('mirroring', globals.output.json)
    let quietSince = Date.now()
    while (flags.wait && !isWhole(state, Date.now() - quietSince)) {
      signal.throwIfAborted()
      await new Promise((resolve) => setTimeout(resolve, 100))
      const { key, blocksHeld } = state
      state = (await client.request(METHODS.images, null)).find((it) => it.key === key) ?? state
      if (state.blocksHeld !== blocksHeld) quietSince = Date.now()
      const share = state.blocksKnown === 0 ? 0 : state.blocksHeld / state.blocksKnown
      bar.update(Math.round(share * state.storedBytes), state.storedBytes, `${state.peers} peers`)
    }
    const gone = state.peers > 0 ? state.blocksKnown - state.blocksOffered : 0
    globals.output.result(state, () => [
      `mirroring ${state.key}: ${state.blocksHeld} of ${state.blocksKnown} blocks here`,
      ...(gone > 0
        ? [`no connected peer has ${gone} of them: old versions may have been freed`]
        : [])
    ])
  })
}

/** @param quietMs how long nothing has come */
function isWhole(
  { blocksHeld, blocksKnown, blocksOffered, peers }: ImageListing,
  quietMs: number
): boolean {
  if (blocksKnown === 0) return false
  if (blocksHeld >= blocksKnown) return true
  // The rest was freed by all who are here. A peer that just came has not told what it has.
  return peers > 0 && blocksHeld >= blocksOffered && quietMs > SETTLED_MS
}

async function connect(globals: Globals) {
  const { DaemonClient } = await import('../../session/connection/client.ts')
  const { openHome } = await import('../../home/home.ts')
  return DaemonClient.connect(openHome(globals.home))
}
