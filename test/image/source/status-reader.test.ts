import { mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { lstatSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { StatusReader } from '../../../src/image/source/status-reader.ts'

/** A reader as on another system: statx(2) is left out. */
class PortableReader extends StatusReader {
  override read(path: Uint8Array): void {
    const name = Buffer.from(path.subarray(0, path.indexOf(0)))
    this.take(lstatSync(name, { bigint: true }))
  }
}

function facts(reader: StatusReader, path: string): unknown[] {
  reader.read(Buffer.from(`${path}\0`))
  const { mode, linkCount, uid, gid, allocatedBytes, deviceMajor, deviceMinor } = reader
  const { device, inode, size, mtimeSeconds, mtimeNanoseconds, mtimeMs, ctimeMs } = reader
  return [
    ...[mode, linkCount, uid, gid, allocatedBytes, deviceMajor, deviceMinor],
    ...[device, inode, size, mtimeSeconds, mtimeNanoseconds, mtimeMs, ctimeMs]
  ]
}

void test('what Node.js tells of a file is what statx(2) tells', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-status-'))
  const file = join(directory, 'file')
  writeFileSync(file, 'content')
  symlinkSync('nowhere', join(directory, 'link'))
  try {
    for (const seconds of [0, 1.25, -1.5, -62_000_000.75, 2 ** 33]) {
      utimesSync(file, seconds, seconds)
      t.alike(facts(new PortableReader(), file), facts(new StatusReader(), file), `time ${seconds}`)
    }
    const others = ['/dev/null', '/dev/pts', '/proc/self/status', '/tmp', join(directory, 'link')]
    for (const path of others) {
      t.alike(facts(new PortableReader(), path), facts(new StatusReader(), path), path)
    }
    const [portable, own] = [new PortableReader(), new StatusReader()]
    portable.read(Buffer.from(`${file}\0`))
    own.read(Buffer.from(`${file}\0`))
    t.ok(portable.equals(own), 'word by word')
  } finally {
    rmSync(directory, { recursive: true })
  }
})
