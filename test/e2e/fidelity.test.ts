import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { compareFacts } from '../compare/compare-trees.ts'
import { asMounted } from '../compare/mounted-facts.ts'
import { OVERLAYS, plantRootfs, RAW } from '../compare/planted-rootfs.ts'
import { readTreeFacts } from '../compare/tree-facts.ts'
import { debianRootfs } from './rootfs.ts'
import { Sandbox, type Machine } from './sandbox.ts'
import type { TreeFacts } from '../compare/tree-facts.ts'
import type { Container, Shared } from './results.ts'

const MINUTES_10 = { timeout: 600_000 }
const NOTHING = new Set<string>()
/** systemd-nspawn mounts its own over these. */
const OVER_MOUNTED = ['dev', 'proc', 'sys', 'run', 'tmp']

void test('all that a root file system can hold survives', MINUTES_10, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const at = (name: string): string => join(sandbox.directory, name)
    // Node.js cannot remove paths longer than PATH_MAX.
    using _trees = { [Symbol.dispose]: () => remove(at('source'), at('extracted')) }
    const publisher = await sandbox.machine('publisher')
    const reader = await sandbox.machine('reader')
    await plantRootfs(debianRootfs(), at('source'))
    const { link } = await publisher.json<Shared>('share', at('source'), '--name', 'planted')
    const source = await readTreeFacts(at('source'), NOTHING)
    t.ok(source.size > 110_000, `${source.size} paths`)
    for (const mode of ['erofs', 'fuse'] as const) {
      const expected = asMounted(source)
      mkdirSync(at(mode))
      await reader.ok('mount', link, at(mode), '--mount', mode)
      t.alike(compareFacts(expected, await readTreeFacts(at(mode), NOTHING)), [], `${mode} mount`)
      const raw = Buffer.concat([Buffer.from(at(`${mode}/${RAW.directory}/`)), RAW.bytes])
      const below = readFileSync(Buffer.concat([raw, Buffer.from('/below')]), 'utf8')
      t.is(below, 'below', `${mode}: a name that is not UTF-8 is found by its bytes`)
      t.alike(await inContainer(reader, link, mode, expected), [], `${mode} container`)
      await reader.ok('umount', at(mode))
    }
    await reader.ok('export', link, 'tar', at('out.tar'))
    extract(at('out.tar'), at('extracted'))
    const extracted = compareFacts(source, await readTreeFacts(at('extracted'), NOTHING))
    // An archive has no type flag for a socket; `export` counts them as skipped.
    t.alike(extracted, ['planted/special/socket: only in the first'], 'export')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

/** @returns how the root of a container that only sleeps differs from `tree` */
async function inContainer(
  reader: Machine,
  link: string,
  mode: 'erofs' | 'fuse',
  tree: TreeFacts
): Promise<string[]> {
  const skip = new Set([...OVER_MOUNTED, OVERLAYS])
  const quiet = ['--nspawn-arg', '--resolv-conf=off', '--', 'sleep', 'infinity']
  const { leader } = await reader.json<Container>(
    ...['boot', '--private-users', 'no', link, '-n', mode, '-d', '--mount', mode, ...quiet]
  )
  const found = await readTreeFacts(`/proc/${leader}/root`, skip)
  const expected = new Map([...tree].filter(([path]) => !isBelow(path, skip)))
  // overlayfs says 1 of every directory that upper has too, and upper has the root.
  expected.set('.', new Map(expected.get('.')).set('directory-links', '1'))
  const differences = compareFacts(expected, found)
  // A device 0:0 in a lower layer is a whiteout to overlayfs: mounts and exports have the device, a container
  // overlayfs's other form of one, an empty file (decision 36).
  const whiteout = `/${OVERLAYS}/whiteout`
  const shown = await reader.ok('exec', mode, '--', 'stat', '-c', '%F', whiteout)
  if (shown !== 'regular empty file') differences.push(`a whiteout of the image is a ${shown}`)
  // Copied up, the deepest file lies below the container's own directory: `rm` has to get there.
  const chmod = ['-name', 'deepest', '-execdir', 'chmod', '600', '{}', '+']
  await reader.ok('exec', mode, '--', 'find', '/planted/deep', ...chmod)
  await reader.ok('rm', '--force', mode)
  return differences
}

function isBelow(path: string, directories: ReadonlySet<string>): boolean {
  return [...directories].some(
    (directory) => path === directory || path.startsWith(`${directory}/`)
  )
}

function extract(archive: string, directory: string): void {
  mkdirSync(directory)
  const everything = ['--xattrs', '--xattrs-include=*', '--acls', '--sparse', '-p']
  const args = ['-x', ...everything, '--numeric-owner', '-f', archive, '-C', directory]
  execFileSync('tar', args, { stdio: 'pipe' })
}

function remove(...paths: string[]): void {
  execFileSync('rm', ['-rf', ...paths])
}
