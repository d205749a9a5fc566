import type { Tree } from '../../image/tree/tree.ts'
import { MODE_TYPE } from '../../image/tree/mode-type.ts'
import type { FuseReply } from '../protocol/fuse-reply.ts'
import { nodeAttributes, nodeOf } from './node-attributes.ts'

const DOT = Buffer.from('.')
const DOT_DOT = Buffer.from('..')
/** `.` and `..` come before the entries. */
const SPECIAL_ENTRIES = 2

/**
 * Puts as many entries of a directory into a reply as fit.
 *
 * @param position where to begin: 0, or what an entry of an earlier reply told as `next`
 * @param room bytes that the asker takes
 * @param plus sends the attributes of each entry along
 */
export function listDirectory(
  tree: Tree,
  directory: number,
  position: number,
  room: number,
  plus: boolean,
  reply: FuseReply
): void {
  const first = tree.firstEntry(directory)
  const count = tree.directoryEntryCount(directory) + SPECIAL_ENTRIES
  for (let index = position; index < count; index++) {
    const next = index + 1
    if (index < SPECIAL_ENTRIES) {
      const isSelf = index === 0
      const node = nodeOf(isSelf ? directory : tree.parent(directory))
      const entry = { node, next, name: isSelf ? DOT : DOT_DOT, mode: MODE_TYPE.directory }
      if (!reply.putDirent(room, entry, plus ? 'none' : undefined)) return
      continue
    }
    const number = first + index - SPECIAL_ENTRIES
    const inode = tree.entryInode(number)
    const name = tree.entryName(number)
    if (plus) {
      const attributes = nodeAttributes(tree, inode)
      const entry = { node: attributes.node, next, name, mode: attributes.mode }
      if (!reply.putDirent(room, entry, attributes)) return
    } else {
      const entry = { node: nodeOf(inode), next, name, mode: MODE_TYPE[tree.type(inode)] }
      if (!reply.putDirent(room, entry)) return
    }
  }
}
