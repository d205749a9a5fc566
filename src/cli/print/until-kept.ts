import { METHODS, type ImageListing } from '../../rpc/protocol.ts'
import type { DaemonClient } from '../../session/connection/client.ts'
import { progressBar } from './progress.ts'

const LOOK_MS = 100
/** With nothing coming for so long, peers have told what they have. */
const SETTLED_MS = 3_000

/**
 * Waits until all of an image that is to be kept is here, or all that connected peers have; shows how far it is.
 *
 * @param state what was begun
 * @param what for the progress, such as `mirroring`
 * @param isQuiet shows nothing
 * @returns the last state
 * @throws the signal's reason
 */
export async function untilKept(
  client: DaemonClient,
  state: ImageListing,
  what: string,
  isQuiet: boolean,
  signal: AbortSignal
): Promise<ImageListing> {
  using bar = progressBar(what, isQuiet)
  let now = state
  let quietSince = Date.now()
  while (!isWhole(now, Date.now() - quietSince)) {
    signal.throwIfAborted()
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
    const { key, role, blocksHeld } = now
    const list = await client.request(METHODS.images, null)
    now = list.find((it) => it.key === key && it.role === role) ?? now
    if (now.blocksHeld !== blocksHeld) quietSince = Date.now()
    const share = now.blocksKnown === 0 ? 0 : now.blocksHeld / now.blocksKnown
    bar.update(Math.round(share * now.storedBytes), now.storedBytes, `${now.peers} peers`)
  }
  return now
}

/** @param quietMs how long nothing has come */
function isWhole(
  { kept, complete, blocksHeld, blocksKnown, blocksOffered, peers }: ImageListing,
  quietMs: number
): boolean {
  if (blocksKnown === 0) return false
  if (complete) return true
  // A share and a single version are less than all blocks.
  if (kept !== 'follows' && kept !== 'held') return false
  // The rest was freed by all who are here. A peer that just came has not told what it has.
  return peers > 0 && blocksHeld >= blocksOffered && quietMs > SETTLED_MS
}
