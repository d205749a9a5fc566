import type { ContainerProcess } from '../nspawn/container-process.ts'
import type { RunState } from '../state/run-state.ts'
import type { RunnerEvents } from './runner-options.ts'

/**
 * Keeps the state of a running container up to date: end of its start-up, reboots.
 *
 * @param ending aborted when nobody needs to wait for the end of start-up; aborted at the end in any case
 * @returns nspawn's exit code
 */
export async function watchContainer(
  container: ContainerProcess,
  state: RunState,
  ending: AbortController,
  events: Pick<RunnerEvents, 'onReady'>
): Promise<number> {
  const watching = new AbortController()
  // nspawn tells of each PID 1 that it starts.
  const reboots = container.notices.listen(watching.signal, () => {
    void noticeReboot(container, state).catch(() => {})
    return false
  })
  try {
    const ready = noticeReady(container, state, ending.signal, events)
    ready.catch(() => {})
    const exitCode = await container.exited
    ending.abort()
    await ready.catch(() => {})
    return exitCode
  } finally {
    watching.abort()
    await reboots
  }
}

async function noticeReady(
  container: ContainerProcess,
  state: RunState,
  signal: AbortSignal,
  events: Pick<RunnerEvents, 'onReady'>
): Promise<void> {
  const target = container.target()
  if (target === undefined) return
  const word = target.mode === 'process' ? 'started' : await container.notices.ready(signal)
  if (word === undefined) return
  await state.update({ ready: word, reached: 'readyMs' })
  if (state.current !== undefined) events.onReady?.(state.current)
}

async function noticeReboot(container: ContainerProcess, state: RunState): Promise<void> {
  const leader = container.rebooted()
  if (leader !== undefined) await state.update({ leader })
}
