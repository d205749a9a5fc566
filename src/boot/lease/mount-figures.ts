import type { ImageSession, ImageStats } from '../../session/connection/image-session.ts'
import { isContainerError } from '../../core/errors.ts'
import { pause } from '../../core/abort.ts'

/** {@link ImageStats}; null is what only the daemon knows, while it is gone. */
export type FiguresOrNull = { readonly [Figure in keyof ImageStats]: ImageStats[Figure] | null }

/** How long to wait for a daemon that restarts. Callers should not wait longer for figures. */
const PATIENCE_MS = 1000
/** A daemon that is connected and has not answered for this long hangs. */
const HUNG_MS = 10_000

/** Collects the figures of a mounted image. It does not wait for a daemon that is gone. */
export async function mountFigures(
  session: Pick<ImageSession, 'stats' | 'manifest' | 'startOrder'>
): Promise<FiguresOrNull> {
  const answered = new AbortController()
  try {
    const figures = session.stats(PATIENCE_MS)
    const found = await Promise.race([figures, pause(HUNG_MS, answered.signal).catch(() => {})])
    if (found !== undefined) return found
    figures.catch(() => {})
  } catch (error) {
    if (!isContainerError(error, 'DAEMON_UNREACHABLE')) throw error
  } finally {
    answered.abort()
  }
  const { index, storedBytes } = session.manifest
  return {
    imageBytes: storedBytes + index.storedBytes + (index.base?.storedBytes ?? 0),
    startOrder: session.startOrder?.source ?? null,
    localBytes: null,
    reusedBytes: null,
    complete: null,
    peers: null,
    droppedPeers: null,
    linkBytes: null,
    daemonCpuMs: null,
    fetchedBytes: null,
    demandBytes: null,
    prefetchBytes: null,
    demandReads: null,
    stallMs: null,
    damagedBlocks: null,
    unstoredBlocks: null
  }
}
