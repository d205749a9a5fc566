import { mkdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { debianRootfs } from './rootfs.ts'
import type { Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { treeDigest } from './tree-digest.ts'

for (const mode of ['erofs', 'fuse']) {
  test(`a mounted image equals its source, file by file (${mode})`, LONG, async (t) => {
    const before = snapshot()
    {
      await using sandbox = await Sandbox.open()
      const publisher = await sandbox.machine('publisher')
      const reader = await sandbox.machine('reader')
      const { link } = await publisher.json<Shared>('share', debianRootfs(), '--name', 'debian')
      const directory = join(sandbox.directory, 'mnt')
      mkdirSync(directory)
      const own = statSync(directory).dev
      const mounted = await reader.json<{ mountMode: string }>(
        ...['mount', link, directory, '--mount', mode]
      )
      t.is(mounted.mountMode, mode)
      t.unlike(statSync(directory).dev, own, 'it stays when the command has ended')
      const expected = await treeDigest(debianRootfs())
      const found = await treeDigest(directory)
      t.alike(differences(expected, found), [], 'attributes and content are equal')
      t.ok(found.length > 10_000, 'and there were thousands')
      await reader.ok('umount', directory)
      t.is(statSync(directory).dev, own, 'unmounted')
      t.is((await reader.run('umount', directory)).exitCode, 3, 'there is nothing more to unmount')
      rmSync(directory, { recursive: true })
    }
    t.alike(await leftAfter(before), [], 'nothing is left')
  })
}

/** The first lines that only one of two listings has. */
function differences(expected: readonly string[], found: readonly string[]): string[] {
  const [wanted, had] = [new Set(expected), new Set(found)]
  return [
    ...expected.filter((line) => !had.has(line)).map((line) => `missing: ${line}`),
    ...found.filter((line) => !wanted.has(line)).map((line) => `instead: ${line}`)
  ].slice(0, 10)
}
