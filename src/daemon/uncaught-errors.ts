import type { Logger } from 'pino'

/** More than so many in a minute, and something is broken for good. */
const MOST_A_MINUTE = 20
const MINUTE_MS = 60_000
/** Errors of hypercore, its storage and the system after which the store may differ from what memory says. */
const STORE_CODES =
  /^(ERR_ASSERTION|OPLOG_|INVALID_CHECKSUM|STORAGE_|EIO$|EROFS$|ENOSPC$|EDQUOT$|EBADF$|ERR_MEMORY_ALLOCATION_FAILED$)/
const STORE_MESSAGES = /corrupt|checksum|IO error|rocksdb/i

/**
 * Keeps a daemon running after an uncaught error, because input of one client or peer must not affect others. An
 * error that casts doubt on the store ends the daemon, and so do too many errors; the next command starts it again
 * from what is on disk.
 *
 * @param end ends the process with a failure
 * @returns stops watching
 */
export function watchUncaughtErrors(log: Logger, end: () => void): Disposable {
  const times: number[] = []
  const onError = (error: unknown, origin: string): void => {
    const now = performance.now()
    times.push(now)
    while ((times[0] ?? now) < now - MINUTE_MS) times.shift()
    if (!isOfStore(error) && times.length <= MOST_A_MINUTE) {
      log.error({ err: error, origin }, 'an error that nobody caught; serving on')
      return
    }
    log.fatal({ err: error, origin }, 'an error that nobody caught; ending')
    end()
  }
  process.on('uncaughtException', onError)
  return { [Symbol.dispose]: () => void process.off('uncaughtException', onError) }
}

/** Whether the store may be other than what memory says. */
function isOfStore(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const code = 'code' in at ? String(at.code) : ''
    if (at.name === 'AssertionError' || STORE_CODES.test(code) || STORE_MESSAGES.test(at.message)) {
      return true
    }
  }
  return false
}
