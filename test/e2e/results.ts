/** The parts of the commands' JSON documents that the tests look at. */
export interface Shared {
  readonly link: string
  readonly mirrorLink: string
  readonly key: string
  readonly version: number
  readonly files: number
  readonly bytes: number
  readonly storedBytes: number
  readonly newBytes: number
  readonly filesRead: number
  readonly filesReused: number
  readonly similar: {
    readonly name: string
    readonly commonChunks: number
    readonly chunks: number
    readonly commonBytes: number
  } | null
}

export interface SharedProfiled extends Shared {
  readonly profile: {
    readonly chunks: number
    readonly ready: number
    readonly storedBytes: number
  }
}

export interface Container {
  readonly name: string
  readonly state: string
  readonly leader: number
  readonly rootfs: string
  readonly mountMode: 'erofs' | 'fuse'
  readonly link: string
  readonly version: number
}

export interface Stats {
  readonly imageBytes: number
  readonly fetchedBytes: number
  readonly localBytes: number
  readonly demandBytes: number
  readonly demandReads: number
  readonly prefetchBytes: number
  readonly stallMs: number
  readonly peers: number
  readonly kernelReads: number
  readonly complete: boolean
  readonly reusedBytes: number
  readonly startOrder: 'image' | 'home' | 'guess' | null
}

export interface Listed {
  readonly name: string
  readonly key: string
  readonly link: string | null
  readonly role: string
  readonly blocksHeld: number
  readonly blocksKnown: number
  readonly peers: number
  readonly forked: boolean
  readonly filesListed: boolean
  readonly storedBytes: number
  readonly entryBytes: number
  readonly version: number | null
  readonly complete: boolean
  readonly kept: 'follows' | 'held' | 'share' | 'own' | number | null
  readonly pinned: boolean
  readonly copies: readonly {
    readonly peer: string
    readonly blocksHeld: number
    readonly complete: boolean
  }[]
  readonly uploadedBytes: number
  readonly downloadedBytes: number
  readonly lastSeen: string | null
}

export interface Failure {
  readonly error: { readonly code: string; readonly message: string; readonly hint: string | null }
}
