import { LongPaths, MAX_PATH_BYTES } from './long-paths.ts'

const SLASH = 0x2f
const MIN_BYTES = 2 * MAX_PATH_BYTES

/**
 * The path of one name after another below a source, in one buffer. What the getters return is good
 * until the next {@link enter} or {@link name}.
 */
export class SourcePath implements Disposable {
  readonly #paths = new LongPaths()
  readonly #rootLength: number
  #bytes: Buffer
  #directoryLength: number
  #length: number

  /** @param root absolute, and the path at first */
  constructor(root: Uint8Array) {
    this.#bytes = Buffer.alloc(root.length + MIN_BYTES)
    this.#bytes.set(root)
    this.#rootLength = root.length
    this.#directoryLength = root.length
    this.#length = root.length
  }

  /** Goes to a directory. @param path relative to the root; empty for the root */
  enter(path: Uint8Array): void {
    this.#directoryLength = this.#rootLength
    if (path.length > 0) this.#directoryLength = this.#append(path)
    this.#end(this.#directoryLength)
  }

  /** Goes to a name in the directory. @param name latin1 text of its bytes, whatever encoding they are in */
  name(name: string): void {
    const start = this.#reserve(name.length)
    this.#bytes.write(name, start, 'latin1')
    this.#end(start + name.length)
  }

  /** What the ranges below are of, and {@link absolute} the beginning. */
  get bytes(): Buffer {
    return this.#bytes
  }

  /** Where {@link relative} starts. */
  get relativeStart(): number {
    return Math.min(this.#rootLength + 1, this.#length)
  }

  /** Where the name starts. */
  get nameStart(): number {
    return this.#directoryLength + 1
  }

  /** Where the path ends. */
  get end(): number {
    return this.#length
  }

  /** Relative to the root; empty for the root. */
  get relative(): Buffer {
    return this.#bytes.subarray(this.relativeStart, this.#length)
  }

  get absolute(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  /**
   * A name of the same file that system calls take, with a NUL somewhere behind.
   *
   * @throws the system's error, when a directory on the way to a long one cannot be opened
   */
  get terminated(): Buffer {
    if (this.#length <= MAX_PATH_BYTES) return this.#bytes
    return Buffer.concat([this.#paths.reach(this.absolute), Buffer.alloc(1)])
  }

  /** {@link terminated} for what takes a length. */
  get reachable(): Buffer {
    return this.#paths.reach(this.absolute)
  }

  [Symbol.dispose](): void {
    this.#paths[Symbol.dispose]()
  }

  /** @returns where the path then ends */
  #append(part: Uint8Array): number {
    const start = this.#reserve(part.length)
    this.#bytes.set(part, start)
    return start + part.length
  }

  /** Ends the directory's path with a slash. @returns where so many bytes and a NUL can be put */
  #reserve(length: number): number {
    const start = this.#directoryLength
    const end = start + 1 + length
    if (end >= this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes.subarray(0, start), Buffer.alloc(2 * end - start)])
    }
    this.#bytes[start] = SLASH
    return start + 1
  }

  #end(length: number): void {
    this.#length = length
    this.#bytes[length] = 0
  }
}
