import { createHash } from 'node:crypto'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Machine } from '../e2e/sandbox.ts'
import { findProgram } from '../../src/machine/qemu/find-qemu.ts'
import { standInGuest } from './stand-in-guest.ts'
import { sealManifest, UNSET_DIGEST } from '../../src/machine/os-image/manifest-digest.ts'

/** What `machine status --json` says, as far as tests look at it. */
export interface Shown {
  readonly name: string
  readonly state: string
  readonly pid: number | null
  readonly accel: string | null
  readonly ip: string | null
  readonly sshPort: number | null
  readonly consoleLog: string
}

/** Homes whose machines run a guest of Debian's packages. Disposing removes them all. */
export class MachineSandbox implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'dat-machine-'))
  readonly #homes: Machine[] = []

  home(name: string, environment: Record<string, string> = {}): Machine {
    const home = join(this.directory, name)
    mkdirSync(home)
    const machine = new Machine(home, {
      DAT_CONTAINER_RUNTIME_DIR: join(this.directory, 'run'),
      ...environment
    })
    this.#homes.push(machine)
    return machine
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const home of this.#homes) {
      const machines = await home.json<Shown[]>('machine', 'ls')
      for (const { name } of machines) await home.run('machine', 'rm', '--force', name)
    }
    await rm(this.directory, { recursive: true, force: true })
  }
}

/** Why tests with a real guest are left out on this machine, or undefined. */
export function whyNoGuest(): string | undefined {
  for (const program of ['qemu-system-x86_64', 'ssh', 'dpkg', 'apt-get']) {
    if (findProgram('linux', program) === undefined) return `there is no ${program}`
  }
  try {
    standInGuest()
    return undefined
  } catch (error) {
    return `no guest can be made of Debian's packages: ${String(error).split('\n')[0]}`
  }
}

/** What starts the stand-in guest in software. */
export function guestOptions(...more: string[]): string[] {
  const { kernel, initrd } = standInGuest()
  const image = ['--kernel', kernel, '--initrd', initrd]
  // Sooner than the test's own limit: a guest that hangs then shows its serial log.
  const small = ['--accel', 'tcg', '--cpus', '1', '--memory', '256M', '--disk', 'none']
  return [...image, ...small, '--timeout', '2m', ...more]
}

/** An image directory, as `DAT_CONTAINER_OS_IMAGE` names it, of the stand-in guest. */
export function imageDirectory(directory: string): string {
  mkdirSync(directory)
  const { kernel, initrd } = standInGuest()
  copyFileSync(kernel, join(directory, 'vmlinuz'))
  copyFileSync(initrd, join(directory, 'initrd'))
  writeFileSync(join(directory, 'manifest.json'), manifestOf(directory))
  return directory
}

/** A manifest of the two files of a directory, with its digest. */
function manifestOf(directory: string): string {
  const files = ['vmlinuz', 'initrd'].map((name) => {
    const content = readFileSync(join(directory, name))
    const sha256 = createHash('sha256').update(content).digest('hex')
    return { name, bytes: content.length, sha256 }
  })
  const manifest = { format: 1, arch: 'amd64', digest: UNSET_DIGEST, files }
  return sealManifest(`${JSON.stringify(manifest, null, 2)}\n`)
}
