import * as v from 'valibot'
import { readJsonFile, writeJsonFile } from '../../core/json-file.ts'
import { count } from '../../core/record-format.ts'
import type { CorePeer } from 'hypercore'
import type { DriveCores } from '../../p2p/drive/drive-cores.ts'
import { PeerBytes } from './peer-bytes.ts'

/** What changed is written this often. A daemon that is killed loses as much. */
const WRITE_MS = 60_000

/** What has become of one image since this home knows it. */
export interface Usage {
  /** Bytes of blocks that were sent to peers. */
  readonly uploadedBytes: number
  /** Bytes of blocks that came from peers. */
  readonly downloadedBytes: number
  /** When a peer that has it was last connected, of `Date.now`; null for never. */
  readonly seenMs: number | null
  /** When it was last opened or read on this machine, of `Date.now`; null for never. */
  readonly usedMs: number | null
}

const NONE: Usage = { uploadedBytes: 0, downloadedBytes: 0, seenMs: null, usedMs: null }

const time = v.nullable(count)
const USAGES = v.record(
  v.string(),
  v.object({ uploadedBytes: count, downloadedBytes: count, seenMs: time, usedMs: time })
)

/** Counts traffic and use of images, in a file of the home that may be lost. Keys are drive keys in hex. */
export class ImageUsage implements AsyncDisposable {
  /** The same by peer, as long as that is connected. */
  readonly peerBytes = new PeerBytes()
  readonly #path: string
  readonly #usages: Map<string, Usage>
  readonly #watched = new Map<string, () => void>()
  readonly #timer: NodeJS.Timeout
  #hasChanged = false

  private constructor(path: string, usages: Readonly<Record<string, Usage>>) {
    this.#path = path
    this.#usages = new Map(Object.entries(usages))
    this.#timer = setInterval(() => void this.#write(), WRITE_MS).unref()
  }

  /** @throws the system's error for a file that cannot be opened */
  static async load(path: string): Promise<ImageUsage> {
    return new ImageUsage(path, (await readJsonFile(path, USAGES)) ?? {})
  }

  of(key: string): Usage {
    return this.#usages.get(key) ?? NONE
  }

  /** Notes that it is used on this machine. */
  noteUse(key: string): void {
    this.#change(key, { usedMs: Date.now() })
  }

  /** Counts what passes between peers and a drive's logs, once for each key. */
  watch(key: string, { db, blobs }: DriveCores): void {
    if (this.#watched.has(key)) return
    const onUpload = (_block: number, bytes: number, to: CorePeer): void => {
      this.peerBytes.noteSent(to, bytes)
      this.#change(key, { uploadedBytes: this.of(key).uploadedBytes + bytes })
    }
    const onDownload = (_block: number, bytes: number, from: CorePeer): void => {
      this.peerBytes.noteReceived(from, bytes)
      this.#change(key, { downloadedBytes: this.of(key).downloadedBytes + bytes })
    }
    const onPeer = (): void => this.#change(key, { seenMs: Date.now() })
    const listeners = [
      ['upload', onUpload],
      ['download', onDownload],
      ['peer-add', onPeer],
      ['peer-remove', onPeer]
    ] as const
    for (const log of [db, blobs]) {
      for (const [event, listener] of listeners) log.on(event, listener)
    }
    if (blobs.peers.length > 0) onPeer()
    this.#watched.set(key, () => {
      if (blobs.peers.length > 0) onPeer()
      for (const log of [db, blobs]) {
        for (const [event, listener] of listeners) log.off(event, listener)
      }
    })
  }

  /** Ends {@link watch}. */
  unwatch(key: string): void {
    this.#watched.get(key)?.()
    this.#watched.delete(key)
  }

  forget(key: string): void {
    this.unwatch(key)
    if (this.#usages.delete(key)) this.#hasChanged = true
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer)
    for (const key of [...this.#watched.keys()]) this.unwatch(key)
    await this.#write()
  }

  #change(key: string, change: Partial<Usage>): void {
    this.#usages.set(key, { ...this.of(key), ...change })
    this.#hasChanged = true
  }

  async #write(): Promise<void> {
    if (!this.#hasChanged) return
    this.#hasChanged = false
    // Without it, counting begins anew: no reason to fail.
    await writeJsonFile(this.#path, Object.fromEntries(this.#usages)).catch(() => {})
  }
}
