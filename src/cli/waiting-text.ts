import type { Waiting } from '../boot/image-health.ts'

/** Words for what reads of an image wait for; none where none does, or where nobody knows. */
export function waitingOf(waiting: Waiting | null | undefined): string[] {
  if (waiting === null || waiting === undefined) return []
  const whom = waiting.for === 'peers' ? 'peers' : 'the daemon'
  const failing = waiting.reads === 'fail' ? ' (reads fail)' : ''
  return [`waiting for ${whom} since ${waiting.since}${failing}`]
}
