import { fchownSync, fstatSync } from 'node:fs'
import { chown } from 'node:fs/promises'

/** Standard input, output and error. */
const STREAMS = [0, 1, 2]

/**
 * Gives the streams of a command to whom it runs as, else it could not open /dev/stdout: the console log, or the
 * pipes of this process. A file that the user redirected them to stays the user's, and nspawn gives a
 * terminal of its own.
 *
 * @param log the console log, where the streams are that
 */
export async function giveStreams(
  log: string | undefined,
  mode: 'boot' | 'process',
  { uid = 0, gid = 0 }: { uid: number | undefined; gid: number | undefined }
): Promise<void> {
  if (log !== undefined) return chown(log, uid, gid)
  if (mode === 'boot') return
  for (const fd of STREAMS) {
    try {
      if (fstatSync(fd).isFIFO()) fchownSync(fd, uid, gid)
    } catch {
      // Closed, or not ours to give.
    }
  }
}
