import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { execa } from 'execa'
import { mountedBy } from './mounted.ts'
import type { Rival } from './rival.ts'
import { webServer } from './web-server.ts'

const PORT = 8081

/** casync’s FUSE mount over HTTP: chunks on demand. */
export const casync: Rival = {
  name: 'casync',
  programs: { casync: 'casync', nginx: 'nginx-light' },
  async serve(tree, publisher, directory) {
    const archive = await archiveOf(tree)
    const web = await webServer(publisher, PORT, archive, directory)
    return {
      async provide(reader, place) {
        const root = join(place, 'casync')
        await mkdir(root)
        const index = `${web.url}/tree.caidx`
        const store = `--store=${web.url}/tree.castr`
        // What it has fetched it keeps where temporary files are, and leaves there when it is killed.
        const program = ['env', `TMPDIR=${place}`, 'casync', '--log-level=err']
        const mounted = await mountedBy(reader, root, ...program, 'mount', store, index, root)
        return { root, [Symbol.asyncDispose]: () => mounted[Symbol.asyncDispose]() }
      },
      [Symbol.asyncDispose]: () => web[Symbol.asyncDispose]()
    }
  }
}

/** `tree.caidx` and `tree.castr` in a directory beside the tree. */
async function archiveOf(tree: string): Promise<string> {
  const archive = `${tree}.casync`
  if (existsSync(archive)) return archive
  const partial = join(archive, '..', `${basename(archive)}.partial`)
  await rm(partial, { recursive: true, force: true })
  await mkdir(partial)
  const store = `--store=${join(partial, 'tree.castr')}`
  await execa('casync', ['make', store, '--compression=zstd', join(partial, 'tree.caidx'), tree])
  await rename(partial, archive)
  return archive
}
