import { constants } from 'node:os'
import { ContainerError } from '../../core/errors.ts'
import type { FuseReply, InitAnswer } from './fuse-reply.ts'
import {
  INIT_FLAG,
  INIT_UPPER_FLAG,
  LEAST_MINOR_VERSION,
  MAJOR_VERSION,
  MINOR_VERSION
} from './fuse-protocol.ts'

/** The largest read that the kernel asks for: 256 pages of 4 KiB. */
export const MAX_READ_BYTES = 1024 * 1024
const PAGE_BYTES = 4096
/** Requests of read-ahead that the kernel has under way at once, as many as the data device gets. */
const MAX_BACKGROUND = 64
/** The kernel's own least; nothing is written. */
const MAX_WRITE_BYTES = 4096

/**
 * What is asked for, where the kernel offers it. Besides speed: lookups of `.` and `..` let an overlay
 * find an inode again that the kernel forgot; ACLs are then obeyed, and not only shown.
 */
const WANTED = Object.values(INIT_FLAG).reduce((all, flag) => all | flag, 0)

/** Their ids may be mapped, for containers that have others: the tree is the same to everybody. */
const WANTED_UPPER = INIT_UPPER_FLAG.allowIdmap

export interface InitOffer {
  readonly major: number
  readonly minor: number
  readonly maxReadahead: number
  readonly flags: number
  readonly upperFlags: number
}

/**
 * The answer to INIT. A kernel of a later major version gets one with ours, and asks again in that.
 *
 * @returns undefined where the kernel does not speak what is spoken here
 */
export function answerInit(offer: InitOffer): InitAnswer | undefined {
  const isOlder = offer.major === MAJOR_VERSION && offer.minor < LEAST_MINOR_VERSION
  if (offer.major < MAJOR_VERSION || isOlder) return undefined
  return {
    major: MAJOR_VERSION,
    minor: offer.major === MAJOR_VERSION ? Math.min(offer.minor, MINOR_VERSION) : MINOR_VERSION,
    maxReadahead: offer.maxReadahead,
    flags: offer.flags & WANTED,
    upperFlags: offer.upperFlags & WANTED_UPPER,
    maxBackground: MAX_BACKGROUND,
    congestionThreshold: (MAX_BACKGROUND * 3) / 4,
    maxWrite: MAX_WRITE_BYTES,
    maxPages: MAX_READ_BYTES / PAGE_BYTES
  }
}

/** What kernel and server have agreed on, for one mount. */
export class InitAgreement {
  /** Resolves when kernel and server agree on how to talk; rejects with `MOUNT_FAILED`. */
  readonly made: Promise<void>
  #settle!: { resolve: () => void; reject: (error: ContainerError) => void }
  #flags = 0

  constructor() {
    this.made = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    this.made.catch(() => {})
  }

  /** Whether both sides know this flag; of a mount that was taken over nobody here knows. */
  has(flag: number): boolean {
    return (this.#flags & flag) !== 0
  }

  /** @returns 0, with the answer in `reply`, or a negative errno */
  answer(offer: InitOffer, reply: FuseReply): number {
    const answer = answerInit(offer)
    if (answer === undefined) {
      const version = `${offer.major}.${offer.minor}`
      const message = `this kernel speaks version ${version} of the FUSE protocol`
      const hint = 'run Linux 4.18 or later'
      this.#settle.reject(new ContainerError('MOUNT_FAILED', message, { hint }))
      return -constants.errno.EPROTO
    }
    reply.putInit(answer)
    if (offer.major > MAJOR_VERSION) return 0
    this.#flags = answer.flags
    this.#settle.resolve()
    return 0
  }
}
