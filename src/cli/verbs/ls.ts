import type { ImageReference } from '../../p2p/link.ts'
import type { Command } from 'commander'
import { ContainerError } from '../../core/errors.ts'
import type { Tree } from '../../image/tree/tree.ts'
import { argumentBytes } from '../parse/argument-bytes.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { interruptible } from '../print/interrupt.ts'
import { printable } from '../print/output.ts'
import { addOpenOptions, openToLook, type OpenFlags } from '../parse/open-options.ts'
import { table } from '../print/table.ts'

interface LsFlags extends OpenFlags {
  readonly long?: boolean
}

const TYPE_LETTER = {
  file: '-',
  directory: 'd',
  symlink: 'l',
  fifo: 'p',
  socket: 's',
  character: 'c',
  block: 'b'
} as const

export function addLs(program: Command): void {
  addOpenOptions(
    program
      .command('ls')
      .description('list a directory of an image without fetching file content')
      .argument('<image>', 'a link, or the name of an image that is on this machine')
      .argument('[path]', 'a path in the image', '/')
      .option('-l, --long', 'with mode, owner, size and time')
  )
    .addHelpText('after', "\nExample:\n  dat-container ls -l 'dat://KEY#SECRET' /etc")
    .action(async (link: ImageReference, path: string, flags: LsFlags, command: Command) => {
      await ls(link, path, flags, readGlobals(command))
    })
}

async function ls(
  link: ImageReference,
  path: string,
  flags: LsFlags,
  globals: Globals
): Promise<void> {
  const { resolvePath } = await import('../../image/chunk/read-file.ts')
  await interruptible(async (signal) => {
    await using image = await openToLook(link, flags, globals, signal)
    const { tree } = image
    const inode = resolvePath(tree, argumentBytes(path), { followSymlinks: true })
    if (inode === undefined) throw new ContainerError('NOT_FOUND', `no ${path} in this image`)
    const listed =
      tree.type(inode) === 'directory'
        ? [...directoryEntries(tree, inode)]
        : [describe(tree, inode, Buffer.from(path))]
    globals.output.result(listed, () =>
      flags.long ? longLines(listed) : listed.map(({ name }) => printable(name))
    )
  })
}

interface Listed {
  readonly name: string
  readonly type: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly links: number
  readonly mtime: string
  readonly target?: string
}

function* directoryEntries(tree: Tree, directory: number): Generator<Listed> {
  const first = tree.firstEntry(directory)
  for (let n = 0; n < tree.directoryEntryCount(directory); n++) {
    yield describe(tree, tree.entryInode(first + n), tree.entryName(first + n))
  }
}

function describe(tree: Tree, inode: number, name: Uint8Array): Listed {
  const { type, mode, uid, gid, mtimeSeconds } = tree.attributes(inode)
  const size = tree.size(inode)
  const links = tree.linkCount(inode)
  const time = new Date(mtimeSeconds * 1_000)
  const mtime = Number.isNaN(time.getTime()) ? String(mtimeSeconds) : time.toISOString()
  const entry = { name: Buffer.from(name).toString(), type, mode, uid, gid, size, links, mtime }
  if (type !== 'symlink') return entry
  return { ...entry, target: Buffer.from(tree.symlinkTarget(inode)).toString() }
}

function longLines(listed: readonly Listed[]): string[] {
  return table(
    listed.map((entry) => [
      modeString(entry),
      String(entry.links),
      String(entry.uid),
      String(entry.gid),
      String(entry.size),
      localTime(entry.mtime),
      printable(entry.target === undefined ? entry.name : `${entry.name} -> ${entry.target}`)
    ])
  )
}

/** Formats a time in the time zone of the user (TZ), as ls(1) does. @param time ISO 8601, or seconds beyond that */
function localTime(time: string): string {
  const date = new Date(time)
  if (Number.isNaN(date.getTime()) || /^-?\d+$/.test(time)) return time
  const two = (number: number): string => String(number).padStart(2, '0')
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`
}

/** `-rwsr-xr-x`, as ls(1) writes it. */
function modeString({ type, mode }: Listed): string {
  const letters = [0o400, 0o200, 0o100, 0o40, 0o20, 0o10, 0o4, 0o2, 0o1].map((bit, n) =>
    mode & bit ? 'rwx'.charAt(n % 3) : '-'
  )
  const special = (at: number, bit: number, letter: string): void => {
    if (mode & bit) letters[at] = letters[at] === 'x' ? letter : letter.toUpperCase()
  }
  special(2, 0o4000, 's')
  special(5, 0o2000, 's')
  special(8, 0o1000, 't')
  return TYPE_LETTER[type as keyof typeof TYPE_LETTER] + letters.join('')
}
