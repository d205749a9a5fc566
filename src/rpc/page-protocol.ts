/**
 * What a daemon's page is told, as JSON. The page's own program is compiled with this file: it must not refer to
 * anything of Node.js.
 */
import type { StartPart } from './start-parts.ts'

/** Answers `GET /api/view`. */
export interface PageView {
  /** When it was taken, of `Date.now` of the daemon's machine. */
  readonly nowMs: number
  /** How long the page is to wait before it asks again. Milliseconds. */
  readonly againMs: number
  readonly daemon: PageDaemon
  readonly images: readonly PageImage[]
  /** Starts of containers that became ready, the latest first. */
  readonly starts: readonly PageStartSummary[]
  /** The start that was asked for; null where none was. */
  readonly start: PageStart | null
  /** The image that was asked for; null where none was, or it is gone. */
  readonly detail: PageImageDetail | null
}

export interface PageDaemon {
  readonly release: string
  readonly home: string
  readonly publicKey: string
  readonly startedAt: string
  /** Whether a node of the DHT answers. */
  readonly online: boolean
  readonly connections: number
  /** Bytes to and from all peers since the daemon started, protocol included. */
  readonly sentBytes: number
  readonly receivedBytes: number
  readonly disk: { readonly usedBytes: number; readonly maxBytes: number | null }
}

/** An image without anything that reads it. */
export interface PageImage {
  /** Tells it from the others on the page. */
  readonly id: string
  readonly key: string
  readonly name: string
  readonly role: 'owner' | 'reader' | 'mirror'
  readonly version: number | null
  readonly blocksHeld: number
  readonly blocksKnown: number
  readonly complete: boolean
  /** As in an `ImageListing`. */
  readonly kept: 'follows' | 'held' | 'share' | 'own' | number | null
  readonly pinned: boolean
  readonly quota: number | null
  readonly peers: number
  /** Bytes of blocks since this machine knows it. */
  readonly sentBytes: number
  readonly receivedBytes: number
  /** Stored bytes of all its content. */
  readonly storedBytes: number
  readonly lastSeen: string | null
  readonly lastUsed: string | null
}

export interface PageImageDetail {
  /** The id of a {@link PageImage}. */
  readonly id: string
  /** The log of content; for a mirror also that of the entries. */
  readonly logs: readonly PageLog[]
  readonly peers: readonly PagePeer[]
}

/** The blocks of one log. */
export interface PageLog {
  readonly what: 'content' | 'entries'
  readonly blocks: number
  /** One bit a block, lowest bit first, in base64: whether it is in the store. */
  readonly held: string
  /** The same: whether it is not in the store, and a connected peer has it. */
  readonly offered: string
}

export interface PagePeer {
  readonly key: string
  /** IP address that it is seen at; null where that is not known. */
  readonly address: string | null
  /** Blocks of the content that it has, as far as it has told. */
  readonly blocksHeld: number
  readonly complete: boolean
  /** Bytes of blocks of this image since it was connected. */
  readonly sentBytes: number
  readonly receivedBytes: number
}

/** A start of a container that became ready. */
export interface PageStartSummary {
  /** Tells it from the others on the page. */
  readonly id: string
  readonly container: string
  readonly image: string
  readonly key: string
  readonly version: number
  /** `boot`: it has an init. */
  readonly mode: 'boot' | 'process'
  /** When the command began; ISO 8601. */
  readonly at: string
  readonly totalMs: number
}

/** Where the time of a start went. */
export interface PageStart extends Omit<PageStartSummary, 'id'> {
  /** Each instant is in at most one of them. */
  readonly parts: readonly PageStartPart[]
}

export interface PageStartPart {
  readonly part: StartPart
  readonly ms: number
  /** `[from, to]` in milliseconds since the command began, in order. Gaps that nobody would see are closed. */
  readonly times: readonly (readonly [number, number])[]
}
