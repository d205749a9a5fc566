import type { ImageHealth, Waiting } from '../../boot/lease/image-health.ts'

/** Words for how the image of a container is; none where all is well, or where nobody knows. */
export function healthOf(health: Partial<ImageHealth>): string[] {
  if (health.imageLost === true) return ['image lost: stop and boot it again']
  const restarts = health.mounterRestarts ?? 0
  const restarted = restarts === 0 ? [] : [`mounter restarted ${restarts} x`]
  return [...restarted, ...waitingOf(health.waiting)]
}

/** Words for what reads of an image wait for. */
export function waitingOf(waiting: Waiting | null | undefined): string[] {
  if (waiting === null || waiting === undefined) return []
  const whom = waiting.for === 'peers' ? 'peers' : 'the daemon'
  const failing = waiting.reads === 'fail' ? ' (reads fail)' : ''
  return [`waiting for ${whom} since ${waiting.since}${failing}`]
}
