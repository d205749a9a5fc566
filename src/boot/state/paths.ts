import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { openHome } from '../../home/home.ts'
import type { MountMode } from '../../fuse/content/mounted-image.ts'
import { ContainerError } from '../../core/errors.ts'
import { privateDirectory } from '../../core/private-directory.ts'

/** The directories in which containers and mounts of one home keep their state. All have mode 0700. */
export interface BootPaths {
  /** Real path of the home. */
  readonly home: string
  /** Cleared by a reboot. */
  readonly runtime: string
  /** A short name of the home that is unique on this machine; part of machine and unit names. */
  readonly homeId: string
  /** Persistent: one directory a container. */
  readonly containers: string
  /** Runtime: one directory a running container. */
  readonly running: string
  /** Runtime: one directory a mounter. */
  readonly mounts: string
  /** Runtime: lock files; kept apart so that removing a container's directory races with nobody. */
  readonly locks: string
  /** Runtime: one socket a running container; its path is short, as a unix socket's must be. */
  readonly notify: string
}

/** Files of one container. */
export interface ContainerPaths {
  readonly name: string
  /** Persistent part. */
  readonly directory: string
  readonly config: string
  readonly upper: string
  readonly work: string
  readonly consoleLog: string
  /** Runtime part. */
  readonly runtime: string
  readonly state: string
  /** How `stopContainer` tells the runner its time-out. */
  readonly stopRequest: string
  /** The defaults for later `exec` commands. */
  readonly execDefaults: string
  /** The seccomp filters of its PID 1. */
  readonly filters: string
  readonly merged: string
  /** Mount point of the image with its ids mapped, while the overlay is made. */
  readonly lower: string
  /** Device nodes that the container is given, on a tmpfs. */
  readonly devices: string
  /** Mount points of what is shown in the container with its ids mapped. */
  readonly binds: string
  /** Mount point of the tmpfs that holds upper and work of an ephemeral container. */
  readonly scratch: string
  readonly lock: string
  /** The socket on which nspawn notifies the runner. */
  readonly notifySocket: string
}

/** Files of one mounter, known once key and version are. */
export interface MounterPaths {
  readonly directory: string
  readonly state: string
  readonly socket: string
  /** The directory that `mountImage` may fill. */
  readonly image: string
  /** The request for a successor. */
  readonly successor: string
  readonly lock: string
}

/** How an image version is shown, as far as it tells one mount of it from another. */
export interface WayServed {
  readonly mode: MountMode | 'auto'
  /** Added to every user and group id of the image: for a container with ids of its own, where the kernel cannot. */
  readonly idBase?: number
  /** Escapes devices 0:0 and attributes of overlayfs, so that a container's overlay shows them instead of obeying them. */
  readonly escaped?: boolean
}

/** 80 bits tell drives apart and keep the socket's path within the 107 bytes Linux allows. */
const KEY_CHARACTERS = 16
const SOCKET_PATH_BYTES = 107
const NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,62}$/

/**
 * Lays out the container state of a home, and makes missing directories.
 *
 * @throws ContainerError `IO`, `USAGE` when the runtime directory cannot be used in a mount option
 */
export function bootPaths(home: string): BootPaths {
  const opened = openHome(home)
  const real = opened.home
  // A real path: the mount table knows no other.
  const { runtime } = opened
  if (/[\s,:\\"]/.test(runtime)) {
    throw new ContainerError(
      'USAGE',
      `the runtime directory ${runtime} contains a character that is not allowed`,
      {
        hint: 'set DAT_CONTAINER_RUNTIME_DIR to a path without space, comma, colon, quote, backslash'
      }
    )
  }
  const paths = {
    home: real,
    runtime,
    homeId: runtime.slice(runtime.lastIndexOf('/') + 1),
    containers: join(real, 'containers'),
    running: join(runtime, 'containers'),
    mounts: join(runtime, 'mounts'),
    locks: join(runtime, 'locks'),
    notify: join(runtime, 'notify')
  }
  const { containers, running, mounts, locks, notify } = paths
  for (const directory of [containers, running, mounts, locks, notify]) {
    privateDirectory(directory)
  }
  return paths
}

/** Names the files of a container. @throws ContainerError `USAGE` for an invalid name */
export function containerPaths(paths: BootPaths, name: string): ContainerPaths {
  checkName(name)
  const directory = join(paths.containers, name)
  const runtime = join(paths.running, name)
  return {
    name,
    directory,
    config: join(directory, 'config.json'),
    upper: join(directory, 'upper'),
    work: join(directory, 'work'),
    consoleLog: join(directory, 'console.log'),
    runtime,
    state: join(runtime, 'state.json'),
    stopRequest: join(runtime, 'stop.json'),
    execDefaults: join(runtime, 'exec.json'),
    filters: join(runtime, 'filters.json'),
    merged: join(runtime, 'merged'),
    lower: join(runtime, 'lower'),
    devices: join(runtime, 'devices'),
    binds: join(runtime, 'binds'),
    scratch: join(runtime, 'scratch'),
    lock: join(paths.locks, `container-${name}`),
    notifySocket: join(paths.notify, shortName(name))
  }
}

/**
 * Names the files of the mounter for an image version and a way to serve it.
 *
 * @throws ContainerError `USAGE` when the runtime directory is too long for a unix socket
 */
export function mounterPaths(
  paths: BootPaths,
  key: string,
  version: number,
  served: WayServed
): MounterPaths {
  const { mode, idBase, escaped } = served
  const parts = [key.slice(0, KEY_CHARACTERS), version, mode]
  if (idBase !== undefined) parts.push(idBase)
  if (escaped === true) parts.push('escaped')
  return mounterPathsOf(paths, parts.join('-'))
}

/** Names the files of a mounter by the name of its directory. See {@link mounterPaths}. */
export function mounterPathsOf(paths: BootPaths, directoryName: string): MounterPaths {
  const directory = join(paths.mounts, directoryName)
  const socket = join(directory, 'socket')
  if (Buffer.byteLength(socket) > SOCKET_PATH_BYTES) {
    throw new ContainerError(
      'USAGE',
      `the path of the runtime directory ${paths.runtime} is too long`,
      {
        hint: 'set DAT_CONTAINER_RUNTIME_DIR to a shorter path'
      }
    )
  }
  return {
    directory,
    state: join(directory, 'state.json'),
    socket,
    image: join(directory, 'image'),
    successor: join(directory, 'successor.json'),
    lock: join(paths.locks, `mount-${directoryName}`)
  }
}

function shortName(name: string): string {
  return createHash('sha256').update(name).digest('hex').slice(0, KEY_CHARACTERS)
}

/** Checks the name of a container. @throws ContainerError `USAGE` */
export function checkName(name: string): void {
  if (NAME_PATTERN.test(name)) return
  throw new ContainerError('USAGE', `${JSON.stringify(name)} cannot be a container's name`, {
    hint: 'use 1 to 63 lower-case letters, digits and dashes, and no dash first'
  })
}

/**
 * Generates a name for a container from the name of its image, with a number from the second on.
 *
 * @param ordinal from 1
 */
export function generateName(imageName: string, ordinal: number): string {
  const base = imageName
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, 40)
  return ordinal === 1 ? base || 'container' : `${base || 'container'}-${ordinal}`
}
