import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { runCommand } from '../../core/host/host-command.ts'
import { detectManager, installCommand } from '../../core/host/package-manager.ts'
import { ContainerError } from '../../core/errors.ts'
import { qemuProgram, SANDBOX } from './qemu-plan.ts'
import type { Architecture, Platform } from '../state/machine-types.ts'

export interface Qemu {
  /** Full path. */
  readonly program: string
  /** Such as `7.2.22`. */
  readonly version: string
}

/** `server=on` in a chardev, and an ACPI power button on microvm, are there since. */
const OLDEST_MAJOR = 6

/** Folders in which installers put QEMU without adding them to PATH. */
const FURTHER_PLACES: Readonly<Record<Platform, readonly string[]>> = {
  linux: ['/usr/local/bin', '/usr/bin'],
  darwin: ['/opt/homebrew/bin', '/usr/local/bin', '/opt/local/bin'],
  win32: ['C:\\Program Files\\qemu']
}

/** Names the command that installs QEMU on a platform. */
export function installQemu(
  platform: Platform,
  architecture: Architecture,
  manager?: Parameters<typeof installCommand>[1]
): string {
  if (platform === 'darwin') return 'brew install qemu'
  if (platform === 'win32') return 'winget install --id SoftwareFreedomConservancy.QEMU'
  return installCommand(qemuProgram(architecture), manager)
}

/**
 * Finds QEMU for guests of an architecture.
 *
 * @throws ContainerError `MISSING_TOOL` when it is absent or too old, with what installs it
 */
export async function findQemu(platform: Platform, architecture: Architecture): Promise<Qemu> {
  const name = qemuProgram(architecture)
  const program = findProgram(platform, name)
  const manager = platform === 'linux' ? detectManager() : undefined
  const install = installQemu(platform, architecture, manager)
  if (program === undefined) {
    throw new ContainerError('MISSING_TOOL', `QEMU (${name}) is not installed`, {
      hint: `install it: ${install}`
    })
  }
  const { stdout, stderr } = await runCommand(program, ['--version'], { timeoutMs: 10_000 })
  const version = parseQemuVersion(stdout)
  if (version === undefined) {
    const said = stderr.split('\n')[0] ?? ''
    throw new ContainerError('MISSING_TOOL', `${program} does not run: ${said || 'no version'}`, {
      hint: `install it again: ${install}`
    })
  }
  if (Number(version.split('.')[0]) < OLDEST_MAJOR) {
    const message = `QEMU ${version} is too old: ${OLDEST_MAJOR}.0 or newer is needed`
    throw new ContainerError('MISSING_TOOL', message, {
      hint: `install a newer one: ${install}, on a newer release of your distribution if need be`
    })
  }
  return { program, version }
}

/** Tells whether a QEMU was built with its filter of system calls. */
export async function hasSandbox({ program }: Qemu): Promise<boolean> {
  const asked = await runCommand(program, [...SANDBOX, '-machine', 'help'], { timeoutMs: 10_000 })
  return asked.exitCode === 0
}

/** Parses the version, such as `7.2.22`, in the output of `qemu-system-… --version`. */
export function parseQemuVersion(text: string): string | undefined {
  return /QEMU emulator version (\d+\.\d+(?:\.\d+)*)/.exec(text)?.[1]
}

/**
 * Finds the full path of a program, on PATH or where installers put it.
 *
 * @returns undefined when it is absent
 */
export function findProgram(platform: Platform, name: string): string | undefined {
  const file = platform === 'win32' ? `${name}.exe` : name
  const onPath = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean)
  return [...onPath, ...FURTHER_PLACES[platform]]
    .map((directory) => join(directory, file))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}
