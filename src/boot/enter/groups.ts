/** Encodes group ids as setgroups(2) takes them. */
export function groupList(groups: readonly number[]): Buffer {
  const list = Buffer.alloc(4 * groups.length)
  for (const [index, group] of groups.entries()) list.writeUInt32LE(group, 4 * index)
  return list
}
