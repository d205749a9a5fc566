import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync
} from 'node:fs'
import { join } from 'node:path'

const IMAGE_BYTES = 320 * 1024 * 1024
const COPIES = 50

/** A file system in a file, of which copies can be taken as a power cut would leave it. */
export class CuttableDisk implements Disposable {
  readonly directory: string
  readonly #image: string
  readonly #mounted: string[] = []

  /** @param directory where it is mounted; created when absent */
  constructor(directory: string, scratch: string) {
    mkdirSync(scratch, { recursive: true })
    this.directory = directory
    this.#image = join(scratch, 'disk.img')
    makeImage(this.#image)
    // The journal is left alone: a cut finds what was asked to be on the disk, and little else.
    this.#mount(this.#image, directory, 'loop,commit=300')
  }

  /**
   * Copies what has reached the disk. Nothing is flushed for that: what the kernel still keeps of the mounted file
   * system is not in the file that it lies in.
   *
   * @param writer process that writes there, which is stopped meanwhile
   * @param copy file to make
   */
  cut(writer: number | undefined, copy: string): void {
    if (writer !== undefined) process.kill(writer, 'SIGSTOP')
    try {
      for (let attempt = 0; attempt < COPIES; attempt++) {
        execFileSync('cp', ['--sparse=always', this.#image, copy])
        // Two that are equal are what was there at the moment between them.
        if (areEqual(this.#image, copy)) return
      }
      throw new Error('the disk is never at rest')
    } finally {
      if (writer !== undefined) process.kill(writer, 'SIGCONT')
    }
  }

  /** Mounts a copy as the next start of its machine would. */
  mountCopy(copy: string, directory: string): void {
    this.#mount(copy, directory, 'loop')
  }

  unmount(directory: string): void {
    execFileSync('umount', [directory])
    this.#mounted.splice(this.#mounted.indexOf(directory), 1)
  }

  [Symbol.dispose](): void {
    for (const directory of this.#mounted.toReversed()) execFileSync('umount', ['-l', directory])
    rmSync(this.#image, { force: true })
  }

  #mount(image: string, directory: string, options: string): void {
    mkdirSync(directory, { recursive: true })
    execFileSync('mount', ['-o', options, image, directory])
    // A home that others get into is refused.
    chmodSync(directory, 0o700)
    this.#mounted.push(directory)
  }
}

function makeImage(path: string): void {
  const file = openSync(path, 'wx')
  ftruncateSync(file, IMAGE_BYTES)
  closeSync(file)
  execFileSync('mkfs.ext4', ['-q', '-m', '0', path])
}

function areEqual(one: string, other: string): boolean {
  return readFileSync(one).equals(readFileSync(other))
}
