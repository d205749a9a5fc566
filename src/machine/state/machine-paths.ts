import { join } from 'node:path'
import { openHome } from '../../home/home.ts'
import { ContainerError } from '../../core/errors.ts'
import { privateDirectory } from '../../core/private-directory.ts'

/** The directories in which the machines of one home keep their state. All have mode 0700. */
export interface MachineHome {
  /** Real path of the home. */
  readonly home: string
  /** Persistent: one directory a machine. */
  readonly machines: string
  /** Cleared by a reboot: one directory a running machine. */
  readonly running: string
  /** Lock files; kept apart so that removing a machine's directory races with nobody. */
  readonly locks: string
  /** Private key of this home, for ssh; the public one is beside it, `.pub`. */
  readonly sshKey: string
  /** Results of probing accelerators; safe to delete. */
  readonly accelerators: string
  /** The folder for an image of this home only. */
  readonly image: string
}

/** Files of one machine. */
export interface MachinePaths {
  readonly name: string
  /** Persistent part. */
  readonly directory: string
  readonly config: string
  readonly disk: string
  /** The key of an encrypted disk, where the home keeps it. */
  readonly key: string
  readonly knownHosts: string
  /** Output of the guest's serial port. */
  readonly consoleLog: string
  /** Messages of QEMU itself. */
  readonly qemuLog: string
  /** Runtime part. */
  readonly runtime: string
  readonly state: string
  readonly control: string
  readonly lock: string
}

export const DEFAULT_NAME = 'default'
const NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,62}$/
const SOCKET_PATH_BYTES = 107

/** Lays out the machine state of a home, and makes missing directories. @throws ContainerError `IO` */
export function machineHome(home: string): MachineHome {
  const { home: real, runtime } = openHome(home)
  const paths = {
    home: real,
    machines: join(real, 'machines'),
    running: join(runtime, 'machines'),
    locks: join(runtime, 'locks'),
    sshKey: join(real, 'ssh', 'id_ed25519'),
    accelerators: join(real, 'accelerators.json'),
    image: join(real, 'os-image')
  }
  for (const directory of [paths.machines, paths.running, paths.locks]) {
    privateDirectory(directory)
  }
  return paths
}

/**
 * Names the files of a machine.
 *
 * @throws ContainerError `USAGE` for an invalid name, or one that is too long for a socket's path
 */
export function machinePaths(home: MachineHome, name: string): MachinePaths {
  if (!NAME_PATTERN.test(name)) {
    throw new ContainerError('USAGE', `${JSON.stringify(name)} cannot be a machine's name`, {
      hint: 'use 1 to 63 lower-case letters, digits and dashes, and no dash first'
    })
  }
  const directory = join(home.machines, name)
  const runtime = join(home.running, name)
  const control = join(runtime, 'qmp')
  if (Buffer.byteLength(control) > SOCKET_PATH_BYTES) {
    throw new ContainerError(
      'USAGE',
      `the path of the runtime directory ${home.running} is too long`,
      {
        hint: 'set DAT_CONTAINER_RUNTIME_DIR to a shorter path, or choose a shorter name'
      }
    )
  }
  return {
    name,
    directory,
    config: join(directory, 'config.json'),
    disk: join(directory, 'data'),
    key: join(directory, 'data.key'),
    knownHosts: join(directory, 'known_hosts'),
    consoleLog: join(directory, 'console.log'),
    qemuLog: join(directory, 'qemu.log'),
    runtime,
    state: join(runtime, 'state.json'),
    control,
    lock: join(home.locks, `machine-${name}`)
  }
}
