import { basename } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Heirloom } from '../../fuse/content/mounted-image.ts'
import { ProcessExit } from '../../core/host/process-exit.ts'
import type { KernelLock } from '../../core/host/kernel-lock.ts'
import { writeFileAtomically } from '../../core/atomic-file.ts'
import { isContainerError } from '../../core/errors.ts'
import type { ImageReference } from '../../p2p/link.ts'
import type { MounterRequest } from '../lease/mounter-protocol.ts'
import type { MounterPaths } from '../state/paths.ts'
import { Standby, STANDBY_VARIABLE } from './standby.ts'

/** A standby that dies again and again is not started more often than this. */
const RESTART_MS = 1_000
/** How often a successor tries to open the image while its daemon is not there. */
const OPEN_AGAIN_MS = 500

/** Keeps a standby process running, so that a successor takes over the mount if this process dies. */
export class Succession {
  readonly #paths: MounterPaths
  readonly #lock: KernelLock
  readonly #request: MounterRequest
  readonly #link: ImageReference
  /** The standby that has started this process, and waits for its end. */
  readonly #parent: number | undefined
  #heirloom: Heirloom | undefined
  #standby: Standby | undefined
  #restart: NodeJS.Timeout | undefined
  #parentExit: ProcessExit | undefined

  /** @param link pinned to the version that is mounted */
  constructor(
    paths: MounterPaths,
    lock: KernelLock,
    request: MounterRequest,
    link: ImageReference
  ) {
    this.#paths = paths
    this.#lock = lock
    this.#request = request
    this.#link = link
    const parent = process.env[STANDBY_VARIABLE]
    delete process.env[STANDBY_VARIABLE]
    this.#parent = parent === undefined ? undefined : Number(parent)
  }

  /** @param heirloom undefined where nobody can go on: then nobody stands by */
  async begin(heirloom: Heirloom | undefined): Promise<void> {
    if (heirloom === undefined) return
    const takeOver = { mount: basename(this.#paths.directory), blocks: heirloom.blocks }
    const request: MounterRequest = { ...this.#request, link: this.#link, takeOver }
    await writeFileAtomically(this.#paths.successor, `${JSON.stringify(request)}\n`)
    this.#heirloom = heirloom
    this.#haveStandby()
  }

  /** Sees to it that a standby is there: the one that has started this process as long as it lives, then one of its own. */
  #haveStandby(): void {
    if (this.#heirloom === undefined) return
    if (this.#parent !== undefined && process.ppid === this.#parent) {
      this.#parentExit = new ProcessExit(this.#parent, () => this.#startStandby())
      // It may have ended before it was watched.
      if (process.ppid === this.#parent) return
      this.#parentExit[Symbol.dispose]()
    }
    this.#startStandby()
  }

  #startStandby(): void {
    if (this.#heirloom === undefined) return
    const startedMs = performance.now()
    this.#standby = Standby.start({
      request: this.#paths.successor,
      device: this.#heirloom.device,
      lock: this.#lock.fd,
      onDeath: () => {
        const pauseMs = Math.max(0, RESTART_MS - (performance.now() - startedMs))
        this.#restart = setTimeout(() => this.#startStandby(), pauseMs)
      }
    })
  }

  /** Nobody is to go on: this process ends in order. */
  async end(): Promise<void> {
    this.#heirloom = undefined
    clearTimeout(this.#restart)
    this.#parentExit?.[Symbol.dispose]()
    await this.#standby?.[Symbol.asyncDispose]()
  }
}

/**
 * Opens an image for a successor, and retries while peers or the daemon are absent.
 *
 * @throws the signal's reason, and any other error of `begin`
 */
export async function openPatiently<T>(begin: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await begin()
    } catch (error) {
      if (!isContainerError(error, 'PEERS_UNREACHABLE', 'DAEMON_UNREACHABLE')) throw error
      await sleep(OPEN_AGAIN_MS, undefined, { signal })
    }
  }
}
