import { isContainerError } from '../../../core/errors.ts'
import type { ProcessStats } from '../../../boot/containers/container-stats.ts'
import type { HomePaths } from '../../../home/home.ts'
import { METHODS, type DaemonStatus, type ImageListing } from '../../../rpc/protocol.ts'
import { DaemonClient } from '../../../session/connection/client.ts'

/** A container that runs; null figures where they cannot be had, as of one that is still starting. */
export interface ContainerSample {
  readonly name: string
  readonly state: string
  readonly figures: ProcessStats | null
}

/** What images, daemon and containers are at, at one moment. */
export interface Sample {
  /** When it was taken, by a clock that does not jump. */
  readonly atMs: number
  /** Null where no daemon runs. */
  readonly daemon: DaemonStatus | null
  readonly images: readonly ImageListing[]
  readonly containers: readonly ContainerSample[]
}

/** Takes samples of a home. Starts no daemon, and goes on with one that was started meanwhile. */
export class Sampler implements Disposable {
  readonly #paths: HomePaths
  #client: DaemonClient | undefined

  constructor(paths: HomePaths) {
    this.#paths = paths
  }

  async take(): Promise<Sample> {
    const [asked, containers] = await Promise.all([this.#askDaemon(), this.#containers()])
    return { atMs: performance.now(), ...asked, containers }
  }

  async #askDaemon(): Promise<Pick<Sample, 'daemon' | 'images'>> {
    try {
      if (this.#client?.isClosed !== false) {
        this.#client?.[Symbol.dispose]()
        this.#client = await DaemonClient.connectRunning(this.#paths)
      }
      if (this.#client === undefined) return { daemon: null, images: [] }
      const [daemon, images] = await Promise.all([
        this.#client.request(METHODS.status, null),
        this.#client.request(METHODS.images, null)
      ])
      return { daemon, images }
    } catch (error) {
      // It has ended while it was asked.
      if (isContainerError(error, 'DAEMON_UNREACHABLE') && this.#client?.isClosed === true) {
        return { daemon: null, images: [] }
      }
      throw error
    }
  }

  async #containers(): Promise<ContainerSample[]> {
    if (process.platform !== 'linux') return []
    const { listContainers } = await import('../../../boot/containers/containers.ts')
    const { containerProcesses } = await import('../../../boot/containers/container-stats.ts')
    const { home } = this.#paths
    const found = await listContainers(home)
    return Promise.all(
      found.map(async ({ name, state }) => ({
        name,
        state,
        figures: await containerProcesses(home, name).catch((error: unknown) => {
          // It has ended since it was listed, or has not begun.
          if (isContainerError(error, 'NOT_FOUND', 'NOT_RUNNING')) return null
          throw error
        })
      }))
    )
  }

  [Symbol.dispose](): void {
    this.#client?.[Symbol.dispose]()
  }
}
