/** The thread of `EntriesThread`: makes the entries of a drive's first version. */
import { parentPort } from 'node:worker_threads'
import type { EntryValue } from 'hyperdrive'
import { toRecord, type ErrorRecord } from '../../core/error-record.ts'
import { decodeIndex } from '../../image/format/index-codec.ts'
import { SortedHyperbeeWriter } from './sorted-hyperbee-writer.ts'
import { BLOCK_PADDING } from '../block-padding.ts'
import { driveEntries, FIRST_BLOCKS, isBlurred, type EntryChange } from './drive-entries.ts'

/** The packed index, once, and then for each group nothing. */
export type EntriesRequest = Uint8Array | null

export type EntriesMessage =
  /** The index is as it should be. */
  | { readonly kind: 'checked' }
  | {
      readonly kind: 'group'
      /** Blocks one behind the other, each behind its room. */
      readonly bytes: Uint8Array<ArrayBuffer>
      /** Lengths of the blocks, without their room. */
      readonly lengths: readonly number[]
    }
  /** `left` may have the name of another, so that their order is not that of keys. */
  | { readonly kind: 'end'; readonly left: readonly EntryChange[] }
  | { readonly kind: 'error'; readonly error: ErrorRecord }

/** In a group: of more, more survive until the store has them, and collecting garbage takes longer. */
const GROUP_ENTRIES = 1024

const port = parentPort!
let messages: Generator<EntriesMessage, void, undefined> | undefined

port.on('message', (packed: EntriesRequest) => {
  try {
    if (packed) messages = entryGroups(packed)
    const next = messages?.next()
    if (next?.done !== false) return
    const { value } = next
    port.postMessage(value, value.kind === 'group' ? [value.bytes.buffer] : [])
  } catch (error) {
    port.postMessage({ kind: 'error', error: toRecord(error) } satisfies EntriesMessage)
  }
})

function* entryGroups(packed: Uint8Array): Generator<EntriesMessage, void> {
  const tree = decodeIndex(packed)
  yield { kind: 'checked' }
  const left: EntryChange[] = []
  const bee = new SortedHyperbeeWriter({
    first: FIRST_BLOCKS,
    before: [FIRST_BLOCKS - 1],
    room: BLOCK_PADDING
  })
  for (const [name, text] of driveEntries(tree)) {
    if (isBlurred(name)) left.push([name, JSON.parse(text) as EntryValue])
    else bee.add(entryKey(name), Buffer.from(text))
    if (bee.length === GROUP_ENTRIES) yield { kind: 'group', ...bee.take() }
  }
  if (bee.length > 0) yield { kind: 'group', ...bee.take() }
  yield { kind: 'end', left }
}

/** As Hyperdrive stores a name: in the part `files` of its Hyperbee. The manifest's stands before all of these. */
function entryKey(name: string): Buffer {
  return Buffer.from(`files\0${name}`)
}
