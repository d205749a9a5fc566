import { createHash } from 'node:crypto'
import { walk } from '../../src/image/chunk/read-file.ts'
import type { ChunkReader } from '../../src/image/chunk/chunk-reader.ts'
import type { Tree } from '../../src/image/tree/tree.ts'

/**
 * One line a name with everything that a tree says of it, content as a hash, for comparing two trees
 * that came about in different ways. Inode and chunk numbers do not show, but which names share an
 * inode does. Zeros and holes are the same.
 */
export async function treeLines(tree: Tree, chunks: ChunkReader): Promise<string[]> {
  const firstNames = new Map<number, string>()
  const lines: string[] = []
  for (const { path, inode } of walk(tree)) {
    const name = path.toString('latin1')
    const first = firstNames.get(inode)
    if (first !== undefined) {
      lines.push(`${name} = ${first}`)
      continue
    }
    firstNames.set(inode, name)
    const { type, mode, uid, gid, ...rest } = tree.attributes(inode)
    const time = `${rest.mtimeSeconds}.${rest.mtimeNanoseconds}`
    const device = `${rest.deviceMajor}:${rest.deviceMinor}`
    const links = tree.linkCount(inode)
    const target = Buffer.from(tree.symlinkTarget(inode)).toString('latin1')
    const xattrs = tree
      .xattrs(inode)
      .map(({ name, value }) => `${text(name)}=${Buffer.from(value).toString('hex')}`)
    const content = type === 'file' ? await contentHash(tree, chunks, inode) : ''
    const fields = [type, mode.toString(8), `${uid}:${gid}`, time, device, links, target, xattrs]
    lines.push(`${name} ${fields.join(' ')} ${tree.size(inode)} ${content}`)
  }
  return lines
}

async function contentHash(tree: Tree, chunks: ChunkReader, inode: number): Promise<string> {
  const hash = createHash('sha256')
  for (const { position, chunk, count } of tree.extents(inode)) {
    for (let i = 0; i < count; i++) {
      const bytes = await chunks.read(chunk + i)
      if (bytes.every((byte) => byte === 0)) continue
      hash.update(`${position + i} `).update(bytes)
    }
  }
  return hash.digest('hex').slice(0, 16)
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1')
}
