/** The thread of `EntriesThread`: makes the entries of a drive's first version. */
import { parentPort } from 'node:worker_threads'
import type { EntryValue } from 'hyperdrive'
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
  const bee = new AscendingBee(first, BLOCK_ROOM)
  for (const [name, text] of driveEntries(decodeIndex(packed))) {
    if (isBlurred(name)) left.push([name, JSON.parse(text) as EntryValue])
    else bee.add(entryKey(name), Buffer.from(text))
    if (bee.length === GROUP_ENTRIES) yield { kind: 'group', ...bee.take() }
  }
  if (bee.length > 0) yield { kind: 'group', ...bee.take() }
  yield { kind: 'end', left }
}

/** As Hyperdrive stores a name: in the part `files` of its Hyperbee. */
function entryKey(name: string): Buffer {
  return Buffer.from(`files\0${name}`)
}
