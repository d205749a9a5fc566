/** The thread of `EntriesThread`: makes the entries of a drive's first version. */
import { parentPort } from 'node:worker_threads'
import { toRecord, type ErrorRecord } from '../image/error-record.ts'
import { decodeIndex } from '../image/index-codec.ts'
import { AscendingBee } from './ascending-bee.ts'
import { BLOCK_ROOM } from './block-room.ts'
import { driveEntries, isBlurred, type EntryChange } from './drive-entries.ts'

export interface EntriesRequest {
  readonly packed: Uint8Array
  /** Where in the log the first one goes. */
  readonly first: number
}

/** After a group, the next is made when it is asked for. */
export type EntriesMessage =
  | {
      readonly kind: 'group'
      /** Blocks one behind the other, each behind its room. */
      readonly bytes: Uint8Array<ArrayBuffer>
      /** Of the blocks, without their room. */
      readonly lengths: readonly number[]
    }
  /** `left` may have the name of another, so that their order is not that of keys. */
  | { readonly kind: 'end'; readonly left: readonly EntryChange[] }
  | { readonly kind: 'error'; readonly error: ErrorRecord }

/** In a group: all of an image with many would take much memory at once. */
const GROUP_ENTRIES = 4096

const port = parentPort!
let messages: Generator<EntriesMessage, void, undefined> | undefined

port.on('message', (request: EntriesRequest | null) => {
  if (request) messages = entryGroups(request)
  postNext()
})

function postNext(): void {
  try {
    const next = messages?.next()
    if (next?.done !== false) return
    const { value } = next
    port.postMessage(value, value.kind === 'group' ? [value.bytes.buffer] : [])
  } catch (error) {
    port.postMessage({ kind: 'error', error: toRecord(error) } satisfies EntriesMessage)
  }
}

function* entryGroups({ packed, first }: EntriesRequest): Generator<EntriesMessage, void> {
  const left: EntryChange[] = []
  const bee = new AscendingBee(first)
  for (const [name, value] of driveEntries(decodeIndex(packed))) {
    if (isBlurred(name)) left.push([name, value])
    else bee.add(entryKey(name), Buffer.from(JSON.stringify(value)))
    if (bee.length === GROUP_ENTRIES) yield group(bee.take())
  }
  if (bee.length > 0) yield group(bee.take())
  yield { kind: 'end', left }
}

/** As Hyperdrive stores a name: in the part `files` of its Hyperbee. */
function entryKey(name: string): Buffer {
  return Buffer.from(`files\0${name}`)
}

function group(blocks: readonly Uint8Array[]): EntriesMessage {
  const lengths = blocks.map(({ length }) => length)
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + BLOCK_ROOM + length, 0))
  let end = 0
  for (const block of blocks) {
    bytes.set(block, end + BLOCK_ROOM)
    end += BLOCK_ROOM + block.length
  }
  return { kind: 'group', bytes, lengths }
}
