import { execFileSync } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const BYTES = 64 * 1024

/**
 * A block device of this machine that an image reaches for: a loop device of the test's own, over a file
 * whose first bytes are known.
 */
export class VictimDevice implements Disposable {
  readonly path: string
  readonly major: number
  readonly minor: number
  readonly #file: string
  readonly #text: string

  constructor(directory: string, text: string) {
    this.#file = join(directory, `${text}.disk`)
    this.#text = text
    writeFileSync(this.#file, text.padEnd(BYTES, '.'))
    this.path = execFileSync('losetup', ['--find', '--show', this.#file]).toString().trim()
    const { rdev } = statSync(this.path)
    this.major = (rdev >> 8) & 0xfff
    this.minor = (rdev & 0xff) | ((rdev >> 12) & 0xfff00)
  }

  /** Whether its content is what it was, and neither written through nor cached otherwise. */
  get isIntact(): boolean {
    execFileSync('blockdev', ['--flushbufs', this.path])
    return readFileSync(this.#file, 'utf8').startsWith(this.#text)
  }

  /** Makes a node of it that everybody may read and write. */
  nodeAt(path: string): void {
    const { major, minor } = this
    execFileSync('mknod', ['--mode=666', path, 'b', String(major), String(minor)])
  }

  [Symbol.dispose](): void {
    execFileSync('losetup', ['--detach', this.path])
  }
}
