import { existsSync } from 'node:fs'
import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { mountedBy } from './mounted.ts'
import type { Rival } from './rival.ts'
import { webServer } from './web-server.ts'

const PORT = 8082
/** What nbdfuse calls the one file of its mount. */
const DEVICE = 'nbd'

/** A zstd squashfs over HTTP ranges: nbdkit’s curl plugin, nbdfuse, and the kernel’s squashfs. */
export const squashfs: Rival = {
  name: 'nbdkit + squashfs',
  programs: {
    ...{ nbdkit: 'nbdkit', nbdfuse: 'libnbd-bin', nginx: 'nginx-light' },
    mksquashfs: 'squashfs-tools'
  },
  async serve(tree, publisher, directory) {
    const image = await imageOf(tree)
    const web = await webServer(publisher, PORT, join(image, '..'), directory)
    const name = image.slice(image.lastIndexOf('/') + 1)
    return {
      async provide(reader, place) {
        const [nbd, root] = [join(place, 'nbd'), join(place, 'squashfs')]
        await mkdir(nbd)
        await mkdir(root)
        const command = ['nbdfuse', nbd, '[', 'nbdkit', '--exit-with-parent']
        const device = await mountedBy(reader, nbd, ...command, 'curl', `${web.url}/${name}`, ']')
        const unmount = async (): Promise<void> => {
          await execa('umount', [root], { reject: false })
          await device[Symbol.asyncDispose]()
        }
        try {
          const from = join(nbd, DEVICE)
          await execa('mount', ['-t', 'squashfs', '-o', 'loop,ro', from, root])
        } catch (error) {
          await unmount()
          throw error
        }
        return { root, [Symbol.asyncDispose]: unmount }
      },
      [Symbol.asyncDispose]: () => web[Symbol.asyncDispose]()
    }
  }
}

async function imageOf(tree: string): Promise<string> {
  const image = `${tree}.squashfs`
  if (existsSync(image)) return image
  const partial = `${image}.partial`
  await rm(partial, { force: true })
  await execa('mksquashfs', [tree, partial, '-comp', 'zstd', '-quiet', '-no-progress'])
  await rename(partial, image)
  return image
}
