import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { missingTool } from '../../core/host/host-command.ts'
import { hostProgram, isOnHost } from '../../core/host/package-manager.ts'
import { ContainerError } from '../../core/errors.ts'
import { parseDnsmasqLine, planDnsmasq, type DhcpEvent, type DhcpPlan } from './netboot-dhcp.ts'

/** nobody and nogroup: dnsmasq needs no more than three capabilities of root's. */
const UNPRIVILEGED_ID = 65_534
const CAPABILITIES = '-all,+net_admin,+net_bind_service,+net_raw'
/** It says so once it has its sockets. */
const STARTED = /^dnsmasq\[\d+\]: started/
const KILL_AFTER_MS = 3_000
const SHOWN_LINES = 3

/** A running dnsmasq. Disposing ends it; so does this process's end, whatever that is. */
export class Dnsmasq implements AsyncDisposable {
  /** Rejects when dnsmasq ends by itself; never resolves. */
  readonly failed: Promise<never>
  readonly #child: ChildProcess
  #isEnding = false

  private constructor(child: ChildProcess, lastLines: readonly string[]) {
    this.#child = child
    this.failed = new Promise((_resolve, reject) => {
      child.once('close', () => {
        if (!this.#isEnding) reject(endedError(lastLines))
      })
    })
    // A caller that does not wait for it must not end because of it.
    this.failed.catch(() => {})
  }

  /**
   * Starts dnsmasq as a user without privileges, and waits until it has its sockets.
   *
   * @param onEvent hears of what clients do
   * @throws ContainerError `MISSING_TOOL`, `BUSY` where another server has the ports, `IO`
   */
  static async start(plan: DhcpPlan, onEvent: (event: DhcpEvent) => void): Promise<Dnsmasq> {
    for (const tool of ['dnsmasq', 'setpriv']) if (!isOnHost(tool)) throw await missingTool(tool)
    const identity = [`--reuid=${UNPRIVILEGED_ID}`, `--regid=${UNPRIVILEGED_ID}`, '--clear-groups']
    const capabilities = ['inh-caps', 'ambient-caps', 'bounding-set'].map(
      (set) => `--${set}=${CAPABILITIES}`
    )
    const command = [hostProgram('dnsmasq'), ...planDnsmasq(plan)]
    const child = spawn(
      hostProgram('setpriv'),
      [...identity, ...capabilities, '--no-new-privs', '--pdeathsig=TERM', '--', ...command],
      // In a session of its own a terminal's Ctrl-C reaches it through us alone.
      { stdio: ['ignore', 'ignore', 'pipe'], detached: true, cwd: '/', env: { LC_ALL: 'C' } }
    )
    await once(child, 'spawn')
    const lastLines: string[] = []
    const dnsmasq = new Dnsmasq(child, lastLines)
    const started = new Promise<void>((resolve) => {
      createInterface({ input: child.stderr }).on('line', (line) => {
        lastLines.push(line)
        if (lastLines.length > SHOWN_LINES) lastLines.shift()
        if (STARTED.test(line)) resolve()
        const event = parseDnsmasqLine(line)
        if (event !== undefined) onEvent(event)
      })
    })
    await Promise.race([started, dnsmasq.failed])
    return dnsmasq
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const closed = once(this.#child, 'close')
    this.#child.kill('SIGTERM')
    const force = setTimeout(() => this.#child.kill('SIGKILL'), KILL_AFTER_MS)
    await closed
    clearTimeout(force)
  }
}

function endedError(lastLines: readonly string[]): ContainerError {
  const said = lastLines.join('; ').trim()
  if (/Address (already )?in use/.test(said)) {
    return new ContainerError('BUSY', 'another DHCP or TFTP server of this machine has the ports', {
      hint: 'stop it, or configure it with the script that --no-dhcp serves'
    })
  }
  return new ContainerError('IO', `dnsmasq ended: ${said || 'it said nothing'}`)
}
