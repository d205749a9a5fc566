import { accessSync, constants } from 'node:fs'
import { delimiter } from 'node:path'

type PackageManager = 'apt' | 'dnf' | 'pacman' | 'apk' | 'zypper'

interface ManagerFacts {
  readonly program: string
  readonly install: string
  /** Package of each program where its name is not the program's. */
  readonly packages: Readonly<Record<string, string>>
}

const MANAGERS: Readonly<Record<PackageManager, ManagerFacts>> = {
  apt: {
    program: 'apt-get',
    install: 'apt-get install -y',
    packages: {
      'systemd-nspawn': 'systemd-container',
      'systemd-run': 'systemd',
      setpriv: 'util-linux',
      unshare: 'util-linux',
      losetup: 'mount',
      script: 'bsdutils',
      'qemu-system-x86_64': 'qemu-system-x86',
      'qemu-system-aarch64': 'qemu-system-arm',
      libfuse: 'libfuse2',
      ssh: 'openssh-client',
      'ssh-keygen': 'openssh-client',
      ip: 'iproute2',
      // The package of its own name starts a name server.
      dnsmasq: 'dnsmasq-base'
    }
  },
  dnf: {
    program: 'dnf',
    install: 'dnf install -y',
    packages: {
      'systemd-nspawn': 'systemd-container',
      'systemd-run': 'systemd',
      mount: 'util-linux',
      setpriv: 'util-linux',
      unshare: 'util-linux',
      losetup: 'util-linux',
      script: 'util-linux-script',
      'qemu-system-x86_64': 'qemu-system-x86-core',
      'qemu-system-aarch64': 'qemu-system-aarch64-core',
      libfuse: 'fuse-libs',
      ssh: 'openssh-clients',
      'ssh-keygen': 'openssh',
      ip: 'iproute'
    }
  },
  pacman: {
    program: 'pacman',
    install: 'pacman -S --noconfirm',
    packages: {
      'systemd-nspawn': 'systemd',
      'systemd-run': 'systemd',
      mount: 'util-linux',
      setpriv: 'util-linux',
      unshare: 'util-linux',
      losetup: 'util-linux',
      script: 'util-linux',
      'qemu-system-x86_64': 'qemu-system-x86',
      libfuse: 'fuse2',
      ssh: 'openssh',
      'ssh-keygen': 'openssh',
      ip: 'iproute2'
    }
  },
  apk: {
    program: 'apk',
    install: 'apk add',
    packages: {
      // Alpine packages no systemd; its name is still the most useful answer.
      'systemd-nspawn': 'systemd',
      'systemd-run': 'systemd',
      script: 'util-linux-misc',
      unshare: 'util-linux-misc',
      'qemu-system-x86_64': 'qemu-system-x86_64',
      libfuse: 'fuse',
      ssh: 'openssh-client-default',
      'ssh-keygen': 'openssh-keygen',
      ip: 'iproute2'
    }
  },
  zypper: {
    program: 'zypper',
    install: 'zypper install -y',
    packages: {
      'systemd-nspawn': 'systemd-container',
      'systemd-run': 'systemd',
      mount: 'util-linux',
      setpriv: 'util-linux',
      unshare: 'util-linux',
      losetup: 'util-linux',
      script: 'util-linux',
      'qemu-system-x86_64': 'qemu-x86',
      'qemu-system-aarch64': 'qemu-arm',
      libfuse: 'libfuse2',
      ssh: 'openssh-clients',
      'ssh-keygen': 'openssh-common',
      ip: 'iproute2'
    }
  }
}

/** A feature of Windows, which PowerShell of an administrator adds. macOS has OpenSSH. */
const OPENSSH_OF_WINDOWS = 'Add-WindowsCapability -Online -Name OpenSSH.Client~~~~0.0.1.0'

/** The command that installs the package of `program` on this distribution. */
export function installCommand(program: string, manager = detectManager()): string {
  if (manager === undefined) {
    const isOfWindows = process.platform === 'win32' && /^ssh(-keygen)?$/.test(program)
    return isOfWindows ? OPENSSH_OF_WINDOWS : `the package that has ${program}`
  }
  const { install, packages } = MANAGERS[manager]
  return `${install} ${packages[program] ?? program}`
}

/** The package manager of this machine, by its program, or undefined. */
export function detectManager(): PackageManager | undefined {
  return Object.entries(MANAGERS).find(([, { program }]) => isOnHost(program))?.[0] as
    PackageManager | undefined
}

const UNIX_DIRECTORIES = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin']

/** Where programs of the host are looked for: a plain user's PATH often lacks the last ones. */
export const HOST_PATH = [
  ...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean),
  ...(process.platform === 'win32' ? [] : UNIX_DIRECTORIES)
]
  .filter((directory, index, all) => all.indexOf(directory) === index)
  .join(delimiter)

/** The full path of a host program; its name alone when it is not there. */
export function hostProgram(program: string): string {
  const found = HOST_PATH.split(delimiter).find((directory) => {
    try {
      accessSync(`${directory}/${program}`, constants.X_OK)
      return true
    } catch {
      return false
    }
  })
  return found === undefined ? program : `${found}/${program}`
}

/** Whether a program is on this machine. */
export function isOnHost(program: string): boolean {
  return hostProgram(program) !== program
}
