import { asBuffer } from '../../core/as-buffer.ts'
import { checkXattrs } from './tree-limits.ts'
import type { Xattr } from './tree.ts'

/** Interns the extended attributes of inodes: trees have few distinct sets. Set 0 is empty. */
export class XattrSets {
  readonly sets: (readonly Xattr[])[] = [[]]
  readonly #numbers = new Map<string, number>([['', 0]])

  /** @throws ContainerError `BAD_INDEX` when names or values are out of Linux's range */
  add(xattrs: readonly Xattr[]): number {
    if (xattrs.length === 0) return 0
    const sorted = [...xattrs].sort((a, b) => Buffer.compare(a.name, b.name))
    checkXattrs(sorted)
    const key = sorted.map(({ name, value }) => `${hex(name)}=${hex(value)}`).join()
    const known = this.#numbers.get(key)
    if (known !== undefined) return known
    const copy = sorted.map(({ name, value }) => ({
      name: Buffer.from(name),
      value: Buffer.from(value)
    }))
    this.#numbers.set(key, this.sets.length)
    return this.sets.push(copy) - 1
  }
}

function hex(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('hex')
}
