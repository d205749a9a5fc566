import { pause } from '../../core/abort.ts'
import type { ImageReference } from '../../p2p/link.ts'
import { watchChannel } from '../../session/connection/watch-channel.ts'
import { mounterOptions } from '../lease/mount-ahead.ts'
import { acquireMount, type MountLease } from '../lease/mount-lease.ts'
import type { ContainerOptions } from '../state/boot-options.ts'
import { runContainer } from './runner.ts'
import type { RunnerOptions, RunnerResult } from './runner-options.ts'

/** After an image that a channel names could not be mounted. */
const RETRY_MS = 5_000

/** Another image that a channel names, mounted. */
interface NextImage {
  readonly link: ImageReference
  /** Keeps it mounted until the container has it. */
  readonly lease: MountLease
}

/**
 * Runs a container like {@link runContainer}. If it follows a channel, and that names another image or version, it mounts that,
 * stops the container in order and starts it again of the new image, under the same name.
 *
 * @returns what the last run ended with
 * @throws ContainerError what {@link runContainer} throws
 */
export async function runFollowed(options: RunnerOptions): Promise<RunnerResult> {
  const channel = options.container.follow
  if (channel === undefined) return runContainer(options)
  let run = options
  let held: MountLease | undefined
  try {
    for (;;) {
      const { result, next } = await runUntilRenamed(run, channel)
      await held?.[Symbol.asyncDispose]()
      held = next?.lease
      if (next === undefined || result.isRenewed !== true) return result
      options.events?.onRenewed?.(next.link)
      // One that was started ahead is of the first image.
      const { mounter: _first, ...rest } = options
      run = { ...rest, container: { ...options.container, name: result.name, link: next.link } }
    }
  } finally {
    await held?.[Symbol.asyncDispose]()
  }
}

/** Runs a container until it ends, or until the channel names something else. */
async function runUntilRenamed(
  options: RunnerOptions,
  channel: string
): Promise<{ result: RunnerResult; next: NextImage | undefined }> {
  const ended = new AbortController()
  const renewal = new AbortController()
  let coming: Promise<NextImage | undefined> = Promise.resolve(undefined)
  let isWatching = false
  const watch = (): void => {
    if (isWatching) return
    isWatching = true
    coming = nextImage(options.container, channel, ended.signal).then((next) => {
      if (next !== undefined) renewal.abort()
      return next
    })
  }
  try {
    const result = await runContainer({
      ...options,
      renewal: renewal.signal,
      events: {
        ...options.events,
        onState: (state) => {
          // What is being started is let alone.
          if (state.leader !== undefined) watch()
          options.events?.onState?.(state)
        }
      }
    })
    ended.abort()
    return { result, next: await coming }
  } catch (error) {
    ended.abort()
    await (await coming)?.lease[Symbol.asyncDispose]()
    throw error
  }
}

/** Waits until a channel names something else that can be mounted. @returns undefined once `signal` aborts */
async function nextImage(
  container: ContainerOptions,
  channel: string,
  signal: AbortSignal
): Promise<NextImage | undefined> {
  const { home } = container
  while (!signal.aborted) {
    try {
      const link = await watchChannel({ home, channel, image: container.link, signal })
      const lease = await acquireMount({ ...mounterOptions(container, link), signal })
      return { link, lease }
    } catch {
      // The container goes on with what it has.
      await pause(RETRY_MS, signal)
    }
  }
  return undefined
}
