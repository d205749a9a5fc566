import type Hypercore from 'hypercore'
import { replaceMethod } from '../library-seams.ts'

/** States of logs that were changed, and whether anybody else may know of the log. */
const known = new WeakMap<object, boolean>()

/**
 * Has a log tell its peers of new blocks only when those are on the disk: of blocks that peers hold and a power cut
 * took from the publisher, it would publish others in their place, and the log would have two histories.
 * hypercore has no hook between storing and telling.
 *
 * @param isKnown whether anybody else may know of the log; {@link tellOf} says so later
 */
export function syncBeforeTelling(
  log: Hypercore,
  sync: () => Promise<void>,
  isKnown: boolean
): void {
  const { state } = log.core
  const isChanged = known.has(state)
  known.set(state, isKnown || known.get(state) === true)
  if (isChanged) return
  replaceMethod('SessionState.flush', state, (usual) => async () => {
    const isStored = await usual.call(state)
    if (known.get(state)) await sync()
    return isStored
  })
}

/** From now on peers may know of the log. */
export function tellOf(log: Hypercore): void {
  known.set(log.core.state, true)
}
