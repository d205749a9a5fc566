import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync
} from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import test from 'brittle'
import type { Listed, Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'

interface Verified {
  readonly chunks: number
  readonly damaged: number
}

interface Status {
  readonly store: { readonly unstoredBlocks: number; readonly unstoredReason: string | null }
}

test('what is read on a full disk is served without being stored', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const publisher = await sandbox.machine('publisher')
  const reader = await sandbox.machine('reader')
  // Also what is below it: others do not get into a home.
  chmodSync(reader.home, 0o700)
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=200m,mode=700', 'tmpfs', reader.home])
  try {
    const source = join(sandbox.directory, 'source')
    mkdirSync(source)
    for (let file = 0; file < 80; file++) {
      writeFileSync(join(source, `file-${file}`), randomBytes(500_000))
    }
    const { link } = await publisher.json<Shared>('share', source, '--name', 'image')
    const directory = join(sandbox.directory, 'mnt')
    await reader.ok('mount', link, directory, '--lazy-only')
    const filler = join(reader.home, 'filler')
    fillUp(filler)
    const wrong: string[] = []
    for (const name of readdirSync(source)) {
      const read = await readFile(join(directory, name)).catch(String)
      if (typeof read === 'string') wrong.push(`${name}: ${read}`)
      else if (!read.equals(readFileSync(join(source, name)))) wrong.push(name)
    }
    t.alike(wrong, [], 'every read gives what was published')
    const { store } = await reader.json<Status>('daemon', 'status')
    t.ok(store.unstoredBlocks > 0, `${store.unstoredBlocks} blocks: ${store.unstoredReason}`)
    const log = await readFile(join(reader.home, 'daemon.log'), 'utf8')
    t.comment(`the log has ${log.split('takes no more').length - 1} lines of it`)
    rmSync(filler)
    await reader.ok('pull', link)
    const [image] = await reader.json<Listed[]>('images')
    t.is(image?.blocksHeld, image?.blocksKnown, 'with room again, the same daemon stores the rest')
    await publisher.ok('daemon', 'stop')
    const verified = await reader.json<Verified>('verify', link, '--offline')
    t.ok(verified.chunks > 0 && verified.damaged === 0, `all ${verified.chunks} chunks are whole`)
    await reader.run('umount', directory)
  } finally {
    await reader.shutDown()
    execFileSync('umount', ['-l', reader.home])
  }
})

function fillUp(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (const bytes of [1024 * 1024, 4096]) {
      const piece = Buffer.alloc(bytes, 1)
      try {
        for (;;) writeSync(file, piece)
      } catch {
        // Full.
      }
    }
  } finally {
    closeSync(file)
  }
}
