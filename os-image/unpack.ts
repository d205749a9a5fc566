import { ByteStream } from '../src/image/tar/byte-stream.ts'
import { ContainerError } from '../src/core/errors.ts'
import { TarReader, type TarInode } from '../src/image/tar/tar-reader.ts'
import { run } from './command.ts'
import type { FileTree } from './file-tree.ts'

/**
 * Adds the files of a Debian package to `tree`, as dpkg would lay them. Its scripts do not run.
 *
 * @throws ContainerError `BAD_SOURCE`, `IO`, `MISSING_TOOL`
 */
export async function unpackPackage(path: string, tree: FileTree): Promise<void> {
  const archive = await run('dpkg-deb', ['--fsys-tarfile', path])
  const reader = new TarReader(new ByteStream(once(archive)))
  for await (const entry of reader.entries()) {
    const name = treePath(entry.path)
    if (name === '') continue
    if (entry.kind === 'hardlink') {
      const first = tree.get(treePath(entry.target))
      if (first === undefined) throw strange(path, name)
      tree.set(name, first)
    } else {
      await addInode(reader, entry, name, tree, path)
    }
  }
}

async function addInode(
  reader: TarReader,
  entry: TarInode,
  name: string,
  tree: FileTree,
  archive: string
): Promise<void> {
  const { type, mode, uid, gid } = entry.attributes
  const owner = { mode: mode & 0o7777, uid, gid }
  if (type === 'directory') {
    tree.set(name, { kind: 'directory', ...owner })
  } else if (type === 'symlink') {
    const target = entry.symlinkTarget?.toString() ?? ''
    tree.set(name, { kind: 'symlink', target, ...owner, mode: 0o777 })
  } else if (type === 'file') {
    const content = Buffer.alloc(entry.content?.size ?? 0)
    await reader.readContent(content)
    tree.set(name, { kind: 'file', content, ...owner })
  } else {
    throw strange(archive, name)
  }
}

function treePath(path: Buffer): string {
  return path
    .toString()
    .replace(/^\.?\//, '')
    .replace(/\/$/, '')
    .replace(/^\.$/, '')
}

function strange(archive: string, name: string): ContainerError {
  return new ContainerError('BAD_SOURCE', `${archive} has ${name}, which no package has`)
}

async function* once(piece: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield piece
}
