import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const BYTES = 1024 * 1024

/** A disk of the host that an attack may try to write to: a loop device over a file of zeros. */
export class LoopDevice implements Disposable {
  readonly #file = join(mkdtempSync(join(tmpdir(), 'dc-loop-')), 'disk')
  readonly path: string
  /** `major:minor` */
  readonly number: string

  constructor() {
    writeFileSync(this.#file, Buffer.alloc(BYTES))
    this.path = execFileSync('losetup', ['--find', '--show', this.#file]).toString().trim()
    const { rdev } = statSync(this.path)
    this.number = `${(rdev >> 8) & 0xfff}:${(rdev & 0xff) | ((rdev >> 12) & 0xfff00)}`
  }

  /** Whether anybody has written to it. */
  isTouched(): boolean {
    execFileSync('blockdev', ['--flushbufs', this.path])
    return !readFileSync(this.#file).equals(Buffer.alloc(BYTES))
  }

  [Symbol.dispose](): void {
    execFileSync('losetup', ['--detach', this.path])
  }
}
