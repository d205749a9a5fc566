import { existsSync } from 'node:fs'
import { access, readFile } from 'node:fs/promises'
import { constants } from 'node:fs'
import { readHierarchies } from '../core/host/cgroup-hierarchies.ts'
import { fail, partly, pass, reasonOf, type Check } from './doctor-check.ts'
import { runCommand } from '../core/host/host-command.ts'
import { probeGuest } from '../core/host/kvm-probe.ts'
import { detectManager, installCommand, isOnHost } from '../core/host/package-manager.ts'
import { isSystemdHost } from '../core/host/service-process.ts'

/** Programs that are called, apart from systemd-nspawn and QEMU. */
const TOOLS = ['mount', 'losetup', 'setpriv', 'script'] as const
/** `--private-users-ownership` and `--console=read-only` are there since. */
const OLDEST_NSPAWN = 249

export async function checkNspawn(): Promise<Check> {
  if (!isOnHost('systemd-nspawn')) {
    const remedy =
      detectManager() === 'apk'
        ? 'this distribution does not package systemd: mount works, boot does not'
        : installCommand('systemd-nspawn')
    return fail('systemd-nspawn', 'it is not installed', remedy)
  }
  const { stdout } = await runCommand('systemd-nspawn', ['--version'])
  const version = Number(/^systemd (\d+)/.exec(stdout)?.[1] ?? 0)
  if (version >= OLDEST_NSPAWN) return pass('systemd-nspawn', `version ${version}`)
  return partly(
    'systemd-nspawn',
    `version ${version} is older than ${OLDEST_NSPAWN}`,
    'use a newer release of your distribution'
  )
}

export async function checkTools(): Promise<Check> {
  const absent = TOOLS.filter((tool) => !isOnHost(tool))
  if (absent.length === 0) return pass('tools', TOOLS.join(', '))
  const remedy = [...new Set(absent.map((tool) => installCommand(tool)))].join(' && ')
  return fail('tools', `not installed: ${absent.join(', ')}`, remedy)
}

export async function checkCgroups(): Promise<Check> {
  const hierarchies = readHierarchies()
  const unified = hierarchies.find(({ version }) => version === 2)
  const named = hierarchies.find(({ version, devices }) => version === 1 && devices !== true)
  if (unified !== undefined && named === undefined) return pass('cgroups', 'version 2')
  if (unified !== undefined) return pass('cgroups', 'hybrid: version 2 beside version 1')
  if (named !== undefined) return pass('cgroups', 'version 1')
  return fail(
    'cgroups',
    'no hierarchy that systemd-nspawn can use is mounted',
    'mount -t cgroup2 none /sys/fs/cgroup'
  )
}

export async function checkNetworkNamespaces(): Promise<Check> {
  const name = 'network namespaces'
  if (!existsSync('/proc/self/ns/net')) {
    return fail(name, 'the kernel has none', 'use a kernel that has CONFIG_NET_NS')
  }
  if (process.getuid?.() !== 0) return partly(name, 'cannot be tried without root', 'run with sudo')
  if (!isOnHost('unshare')) return partly(name, 'not tried: no unshare', installCommand('unshare'))
  const { exitCode, stderr } = await runCommand('unshare', ['--net', 'true'])
  if (exitCode === 0) return pass(name, 'one was made')
  return fail(name, stderr.trim(), 'run outside of a container, or give it CAP_SYS_ADMIN')
}

export async function checkInit(): Promise<Check> {
  const init = (await readFile('/proc/1/comm', 'utf8')).trim()
  if (isSystemdHost()) return pass('init', 'systemd: containers get scope units of their own')
  return pass('init', `${init}, not systemd: containers get cgroups of their own, and no units`)
}

/** What `machine` runs virtual machines with. */
export async function checkQemu(): Promise<Check> {
  const program = process.arch === 'arm64' ? 'qemu-system-aarch64' : 'qemu-system-x86_64'
  if (!isOnHost(program)) {
    const detail = `${program} is not installed: everything except machine works without it`
    return partly('qemu', detail, installCommand(program))
  }
  const { stdout, stderr } = await runCommand(program, ['--version'])
  const version = /version (\S+)/.exec(stdout)?.[1]
  if (version !== undefined) return pass('qemu', `version ${version}`)
  return partly(
    'qemu',
    `${program} does not run: ${stderr.split('\n')[0]}`,
    installCommand(program)
  )
}

export async function checkKvm(): Promise<Check> {
  const slow = 'virtual machines run without it, many times slower'
  try {
    await access('/dev/kvm', constants.R_OK | constants.W_OK)
  } catch {
    return existsSync('/dev/kvm')
      ? partly('kvm', `/dev/kvm cannot be opened: ${slow}`, 'run with sudo, or join the group kvm')
      : partly(
          'kvm',
          `there is no /dev/kvm: ${slow}`,
          'turn virtualization on in the firmware, or nested virtualization on the host; then modprobe kvm_intel or kvm_amd'
        )
  }
  if (!isOnHost('qemu-system-x86_64')) {
    const detail = '/dev/kvm opens; checking whether guests run on it requires QEMU'
    return partly('kvm', detail, `${installCommand('qemu-system-x86_64')}, then run doctor again`)
  }
  try {
    const { verdict, detail } = await probeGuest()
    if (verdict === 'works') return pass('kvm', detail)
    const remedy =
      'use -accel tcg; on a virtual machine, ask its provider for nested virtualization'
    return partly('kvm', `/dev/kvm opens but ${detail}: ${slow}`, remedy)
  } catch (error) {
    return partly(
      'kvm',
      `QEMU could not be tried: ${reasonOf(error)}`,
      installCommand('qemu-system-x86_64')
    )
  }
}
