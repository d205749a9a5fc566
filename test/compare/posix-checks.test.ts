import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { execa } from 'execa'
import { mountOverlay, planOverlay } from '../../src/boot/root/overlay.ts'
import { ServedImage } from '../fuse/served-image.ts'
import { CHECKS } from './posix-checks.ts'
import { STATES } from './posix-place.ts'

const MAIN = fileURLToPath(new URL('./posix-checks-main.js', import.meta.url))
const EXT4_BYTES = 256 * 2 ** 20

/** Mounts the overlay of a container over `lower` and runs all checks in it. */
async function resultsOver(lower: string, directory: string): Promise<string[]> {
  mkdirSync(directory)
  const at = (name: string): string => join(directory, name)
  const paths = {
    upper: at('upper'),
    work: at('work'),
    merged: at('merged'),
    scratch: at('scratch')
  }
  const undo = await mountOverlay(planOverlay({ lower, paths, ephemeral: false }), lower)
  try {
    const { stdout } = await execa(process.execPath, [MAIN, 'run', paths.merged])
    return stdout.trimEnd().split('\n')
  } finally {
    await undo()
  }
}

void test('an overlay behaves over an image as over ext4', { timeout: 300_000 }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-container-posix-'))
  chmodSync(directory, 0o755)
  t.teardown(() => rmSync(directory, { recursive: true }))
  const at = (name: string): string => join(directory, name)
  mkdirSync(at('source'))
  execFileSync(process.execPath, [MAIN, 'plant', at('source')])

  execFileSync('truncate', ['-s', `${EXT4_BYTES}`, at('ext4.img')])
  execFileSync('mkfs.ext4', ['-q', '-N', '65536', at('ext4.img')])
  mkdirSync(at('ext4'))
  execFileSync('mount', ['-o', 'loop', at('ext4.img'), at('ext4')])
  let expected: string[] = []
  try {
    execFileSync('rmdir', [at('ext4/lost+found')])
    execFileSync('cp', ['-a', `${at('source')}/.`, at('ext4')])
    execFileSync('mount', ['-o', 'remount,ro', at('ext4')])
    expected = await resultsOver(at('ext4'), at('over-ext4'))
  } finally {
    execFileSync('umount', [at('ext4')])
  }
  t.is(expected.length, Object.keys(CHECKS).length * STATES.length)
  t.ok(expected.length >= 150, `${expected.length} checks`)
  for (const mode of ['erofs', 'fuse'] as const) {
    await using image = await ServedImage.start(at('source'), mode)
    const found = await resultsOver(image.rootfs, at(`over-${mode}`))
    t.alike(
      found.filter((line, number) => line !== expected[number]),
      expected.filter((line, number) => line !== found[number]),
      `${mode}: every line is equal`
    )
    t.is(found.length, expected.length)
  }
})
