import { unmount } from '../linux/bind-mount.ts'
import { CleanupStack } from '../../core/cleanup-stack.ts'
import type { ErofsMountStep } from './erofs-mount-plan.ts'
import { attachLoop, detachLoop } from '../linux/loop-device.ts'
import { mount } from '../linux/mount-syscall.ts'

/**
 * Carries out a mount plan. Disposing unmounts (lazily where busy) and detaches the loop devices.
 *
 * @throws ContainerError as {@link mount} and {@link attachLoop}, with nothing left behind
 */
export async function mountErofs(steps: readonly ErofsMountStep[]): Promise<AsyncDisposable> {
  const cleanup = new CleanupStack()
  const devices = new Map<string, string>()
  const fill = (text: string): string =>
    text.replace(/\{(meta|data)\}/g, (_, name: string) => devices.get(name) ?? '')
  try {
    for (const step of steps) {
      if (step.do === 'attach-loop') {
        const device = await attachLoop(step.file, { direct: step.direct })
        devices.set(step.name, device)
        cleanup.defer(async () => detachLoop(device))
      } else {
        const { call } = step
        await mount({ ...call, source: fill(call.source), data: fill(call.data) })
        cleanup.defer(async () => unmount(call.target, { lazy: 'if-busy' }))
      }
    }
  } catch (error) {
    throw await cleanup.undoAfter(error)
  }
  return cleanup
}
