import type { JsonFields } from '../core/json-fields.ts'
import type { PageStart } from './page-protocol.ts'
import { badRequest } from './request-checks.ts'
import { START_PARTS } from './start-parts.ts'

/** How a container started; of the image it says only which of this connection's it is. */
export interface StartNote extends Pick<
  PageStart,
  'container' | 'mode' | 'at' | 'totalMs' | 'parts'
> {
  readonly handle: number
}

/** Longer than any name of a container. */
const MAX_NAME = 64
const MAX_DATE = 64
/** A mounter tells of fewer. */
const MAX_TIMES = 1_024

/** @throws ContainerError `USAGE` which field is not what it should be */
export function checkStartNote(fields: JsonFields): void {
  const bad = (message: string): Error => badRequest('start.note', message)
  fields.count('handle')
  fields.line('container', MAX_NAME)
  if (!['boot', 'process'].includes(fields.line('mode', MAX_NAME))) throw bad('unknown mode')
  if (Number.isNaN(Date.parse(fields.line('at', MAX_DATE)))) throw bad('at is no date')
  fields.amount('totalMs')
  for (const part of fields.objects('parts', START_PARTS.length)) {
    const name = part.line('part', MAX_NAME)
    if (!START_PARTS.some((known) => known === name)) throw bad('unknown part')
    part.amount('ms')
    const times = part.get('times')
    if (!Array.isArray(times) || times.length > MAX_TIMES || !times.every(isTime)) {
      throw bad('times is no list of times')
    }
  }
}

function isTime(time: unknown): boolean {
  return Array.isArray(time) && time.length === 2 && time.every(Number.isFinite)
}
