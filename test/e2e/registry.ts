import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { tool } from '../image/oci-images.ts'
import { freePort } from '../../src/machine/qemu/free-port.ts'

const START_WAIT_MS = 10_000
const POLL_MS = 50
const USER = 'user'
const PASSWORD = 'a password'

/** A registry on loopback: HTTP, and only for who logs in. Disposing ends it. */
export class Registry implements AsyncDisposable {
  readonly host: string
  /** Credentials, as `skopeo login` writes them. */
  readonly authfile: string
  readonly #process: ChildProcess

  private constructor(host: string, authfile: string, running: ChildProcess) {
    this.host = host
    this.authfile = authfile
    this.#process = running
  }

  static async open(directory: string): Promise<Registry> {
    mkdirSync(directory)
    const host = `127.0.0.1:${await freePort()}`
    const htpasswd = join(directory, 'htpasswd')
    writeFileSync(htpasswd, tool('htpasswd', '-Bbn', USER, PASSWORD))
    const config = join(directory, 'config.yml')
    writeFileSync(
      config,
      JSON.stringify({
        version: '0.1',
        log: { level: 'error', accesslog: { disabled: true } },
        storage: { filesystem: { rootdirectory: join(directory, 'storage') } },
        http: { addr: host, secret: 'not one' },
        auth: { htpasswd: { realm: 'test', path: htpasswd } }
      })
    )
    const authfile = join(directory, 'auth.json')
    const auth = Buffer.from(`${USER}:${PASSWORD}`).toString('base64')
    writeFileSync(authfile, JSON.stringify({ auths: { [host]: { auth } } }))
    const running = spawn('docker-registry', ['serve', config], { stdio: 'ignore' })
    const registry = new Registry(host, authfile, running)
    await registry.#answers()
    return registry
  }

  /** Pushes an image of a layout, all platforms of it. */
  push(layout: string, name: string): void {
    const flags = ['--quiet', '--all', `--authfile=${this.authfile}`, '--dest-tls-verify=false']
    tool('skopeo', 'copy', ...flags, `oci:${layout}`, `docker://${this.host}/${name}`)
  }

  /** Stops answering, but keeps what is connected waiting. */
  freeze(): void {
    this.#process.kill('SIGSTOP')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await ended
  }

  async #answers(): Promise<void> {
    const deadline = Date.now() + START_WAIT_MS
    for (;;) {
      const answer = await fetch(`http://${this.host}/v2/`).catch(() => undefined)
      if (answer?.status === 401) return
      if (Date.now() > deadline) throw new Error('the registry does not answer')
      await sleep(POLL_MS)
    }
  }
}
