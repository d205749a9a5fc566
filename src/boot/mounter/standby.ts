import { spawn, type ChildProcess } from 'node:child_process'
import type { Writable } from 'node:stream'

/** Descriptors that a successor finds: the FUSE device, and the lock on the mount's directory. */
export const DEVICE_FD = 4
export const LOCK_FD = 5
/** Names the standby process to the successor that it has started. */
export const STANDBY_VARIABLE = 'DAT_CONTAINER_STANDBY'

/**
 * Waits for a line or for the end of the pipe, which comes with the death of the mounter, however that dies.
 * Then there is a successor, and another when a signal has ended that. A shell, as it does next to
 * nothing in next to no memory.
 */
const SCRIPT = `
read -r word <&3
[ "$word" = end ] && exit 0
exec 3<&-
request=$1
shift
deaths=0
while :; do
  ${STANDBY_VARIABLE}=$$ "$@" <"$request"
  status=$?
  [ "$status" -lt 128 ] && exit "$status"
  deaths=$((deaths + 1))
  [ "$deaths" -gt 5 ] && sleep 1
done
`

export interface StandbyOptions {
  /** File with the request for the successor, which becomes its standard input. */
  readonly request: string
  /** Descriptors of this process. */
  readonly device: number
  readonly lock: number
  /** Told when it has ended, but by being disposed of. */
  readonly onDeath: () => void
}

/**
 * A process that holds the descriptors of a mount, so that the mount survives its mounter. If this process dies,
 * it starts a mounter that takes over.
 */
export class Standby implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #ended: Promise<void>
  #isAlive = true
  #isDisposed = false

  private constructor(child: ChildProcess, onDeath: () => void) {
    this.#child = child
    this.#ended = new Promise((resolve) => {
      const end = (): void => {
        if (!this.#isAlive) return
        this.#isAlive = false
        resolve()
        if (!this.#isDisposed) onDeath()
      }
      child.once('exit', end)
      child.once('error', end)
    })
  }

  static start({ request, device, lock, onDeath }: StandbyOptions): Standby {
    const [script = ''] = process.argv.slice(1)
    const program = [process.execPath, ...process.execArgv, script]
    const child = spawn('/bin/sh', ['-c', SCRIPT, 'dat-container-standby', request, ...program], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', device, lock],
      // Signals to this process's group are not meant for the standby.
      detached: true,
      cwd: '/'
    })
    child.unref()
    const pipe = child.stdio[3] as Writable & { unref(): void }
    pipe.on('error', () => {})
    pipe.unref()
    return new Standby(child, onDeath)
  }

  /** Ends it, and with that its hold on the descriptors. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isDisposed = true
    if (!this.#isAlive) return
    const pipe = this.#child.stdio[3] as Writable
    pipe.end('end\n')
    this.#child.ref()
    await this.#ended
  }
}
