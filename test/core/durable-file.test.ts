import test from 'brittle'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeDurableJson, writeJsonFile } from '../../src/core/json-file.ts'
import { writeFileAtomically } from '../../src/core/atomic-file.ts'

/** A file system in a file, mounted; what the file holds at a moment is what a power cut leaves. */
class Disk implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), 'dc-disk-'))
  readonly place = join(this.#directory, 'mnt')
  readonly #image = join(this.#directory, 'disk')

  constructor() {
    execFileSync('truncate', ['--size=16M', this.#image])
    execFileSync('mkfs.ext4', ['-q', this.#image])
    this.#mount(this.#image, this.place)
  }

  /** The file `name` as it is after a power cut now; undefined when it is not there. */
  afterPowerCut(name: string): string | undefined {
    const copy = `${this.#image}.copy`
    const place = join(this.#directory, 'after')
    execFileSync('cp', ['--sparse=always', this.#image, copy])
    this.#mount(copy, place)
    try {
      return readFileSync(join(place, name), 'utf8')
    } catch {
      return undefined
    } finally {
      execFileSync('umount', [place])
    }
  }

  [Symbol.dispose](): void {
    execFileSync('umount', [this.place])
    rmSync(this.#directory, { recursive: true })
  }

  #mount(image: string, place: string): void {
    mkdirSync(place, { recursive: true })
    execFileSync('mount', ['-o', 'loop,commit=300', image, place])
  }
}

void test('what was written durably is there after a power cut', async (t) => {
  using disk = new Disk()
  const path = join(disk.place, 'config.json')
  for (const value of [1, 2, 3]) {
    await writeDurableJson(path, { value })
    t.is(disk.afterPowerCut('config.json'), `{\n  "value": ${value}\n}\n`)
  }
  await writeFileAtomically(join(disk.place, 'other'), 'whole')
  t.is(disk.afterPowerCut('other'), 'whole')
  await writeJsonFile(join(disk.place, 'runtime.json'), {})
  t.is(disk.afterPowerCut('runtime.json'), undefined, 'without it, a power cut takes it')
})
