import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { ContainerOptions } from '../../src/boot/state/boot-options.ts'
import { bootPaths } from '../../src/boot/state/paths.ts'
import { listContainers, removeContainer } from '../../src/boot/containers/containers.ts'
import { sweep } from '../../src/boot/containers/sweep.ts'
import { formatLink, ImageReference } from '../../src/p2p/link.ts'
import { debianRootfs } from '../e2e/rootfs.ts'
import { leftAfter, snapshot } from './leftovers.ts'

const MOUNTER = fileURLToPath(new URL('stand-in-mounter.js', import.meta.url))

/** What is used here of the `t` of a test; brittle's types do not name it. */
export interface TestInstance {
  teardown(undo: () => Promise<void> | void): void
}

/** A home of a test, and the link of a stand-in image. */
export interface BootFixture {
  readonly home: string
  readonly link: string
  /** What `container` needs beside the test's own options. */
  readonly base: Pick<ContainerOptions, 'home' | 'link' | 'mounterScript' | 'stopTimeoutMs'>
}

/** Found once: its place in the environment is taken by what a test says. */
const DEBIAN = debianRootfs()

/**
 * A home of its own; when the test ends, everything is stopped and nothing may be left.
 *
 * @param rootfs the directory that is the image
 */
export function bootFixture(t: TestInstance, suffix = '', rootfs = DEBIAN): BootFixture {
  const before = snapshot()
  const directory = mkdtempSync(join(tmpdir(), 'dc-boot-'))
  const home = join(directory, `home${suffix}`)
  // The stand-in mounter takes it from its environment.
  process.env['DAT_CONTAINER_TEST_ROOTFS'] = rootfs
  const { homeId } = bootPaths(home)
  const link = formatLink({ key: randomBytes(32), secret: randomBytes(32), version: 1 })
  t.teardown(async () => {
    for (const { name } of await listContainers(home, { all: true })) {
      await removeContainer({ home, name, force: true })
    }
    await sweep({ home })
    // brittle takes no assertion here; an error fails the run all the same.
    const left = await leftAfter(before, homeId)
    if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`)
    const { runtime } = bootPaths(home)
    rmSync(directory, { recursive: true })
    rmSync(runtime, { recursive: true })
  })
  return {
    home,
    link,
    base: { home, link: ImageReference.parse(link), mounterScript: MOUNTER, stopTimeoutMs: 15_000 }
  }
}
