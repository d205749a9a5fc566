import { closeSync, constants, openSync } from 'node:fs'
import { ContainerError } from '../../core/errors.ts'

/** PATH_MAX without its NUL: what the kernel takes of a path at once. */
export const MAX_PATH_BYTES = process.platform === 'darwin' ? 1023 : 4095
const SLASH = 0x2f
/** Linux: a descriptor that only says where. Node.js has no name for it. */
const O_PATH = 0o10000000
const OPEN_FLAGS = O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW

interface Step {
  /** A directory and the slash behind it. */
  readonly prefix: Buffer
  readonly fd: number
}

/**
 * Names paths below a source that are longer than the kernel takes: a path of a root filesystem may
 * fill PATH_MAX by itself, and a source lies somewhere. Such a path is named through the descriptor of
 * a directory on its way, opened here and kept for the next path.
 */
export class LongPaths implements Disposable {
  /** Directories on the way to the last long path, each reached through the one before. */
  readonly #steps: Step[] = []

  /**
   * @param path absolute
   * @returns a name of the same file that system calls take, until the next call or disposal
   * @throws the system's error, when a directory on the way cannot be opened; ContainerError `BAD_SOURCE` where
   *   this is not Linux and the path is too long
   */
  reach(path: Buffer): Buffer {
    if (path.length <= MAX_PATH_BYTES) return path
    // Only Linux names files by descriptors of directories.
    if (process.platform !== 'linux') {
      throw new ContainerError(
        'BAD_SOURCE',
        `a path is longer than ${MAX_PATH_BYTES} bytes: ${path.toString()}`
      )
    }
    let step = this.#lastStepTo(path)
    let name = nameFrom(step, path)
    while (name.length > MAX_PATH_BYTES) {
      const slash = name.lastIndexOf(SLASH, MAX_PATH_BYTES)
      const fd = openSync(name.subarray(0, slash), OPEN_FLAGS)
      step = { prefix: path.subarray(0, path.length - (name.length - slash - 1)), fd }
      this.#steps.push(step)
      name = nameFrom(step, path)
    }
    return name
  }

  [Symbol.dispose](): void {
    this.#closeFrom(0)
  }

  /** Closes what does not lead to `path`. */
  #lastStepTo(path: Buffer): Step | undefined {
    const leads = ({ prefix }: Step): boolean => prefix.equals(path.subarray(0, prefix.length))
    const strays = this.#steps.findIndex((step) => !leads(step))
    if (strays !== -1) this.#closeFrom(strays)
    return this.#steps.at(-1)
  }

  #closeFrom(first: number): void {
    for (const { fd } of this.#steps.splice(first).toReversed()) closeSync(fd)
  }
}

function nameFrom(step: Step | undefined, path: Buffer): Buffer {
  if (step === undefined) return path
  const rest = path.subarray(step.prefix.length)
  return Buffer.concat([Buffer.from(`/proc/self/fd/${step.fd}/`), rest])
}
