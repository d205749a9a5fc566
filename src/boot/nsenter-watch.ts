import { childrenOf, readProcess, readProcFile } from './process-table.ts'

const CHECK_MS = 100

/**
 * Keeps nsenter (`pid` or a child of it) going as long as its command lives. nsenter stops itself
 * when its command is stopped, and a stopped nsenter reaps nobody: systemd inside, which stops all
 * processes for a moment when it shuts down, would then wait for the zombie until its time-outs are
 * over. Continued, nsenter continues its command and waits for it again.
 *
 * @returns ends the watch
 */
export function keepNsenterGoing(pid: number): () => void {
  const timer = setInterval(() => {
    for (const candidate of [pid, ...childrenOf(pid)]) {
      if (readProcess(candidate)?.state !== 'T') continue
      if (readProcFile(`/proc/${candidate}/comm`)?.trim() !== 'nsenter') continue
      try {
        process.kill(candidate, 'SIGCONT')
      } catch {
        // It ended meanwhile.
      }
    }
  }, CHECK_MS)
  return () => clearInterval(timer)
}
