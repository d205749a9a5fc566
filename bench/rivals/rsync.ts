import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { on, server, type Rival } from './rival.ts'

const PORT = 8730

/** The whole tree by rsync with compression, all attributes. */
export const rsync: Rival = {
  name: 'rsync -z',
  programs: { rsync: 'rsync' },
  async serve(tree, publisher, directory) {
    const config = join(directory, 'rsyncd.conf')
    await writeFile(
      config,
      `uid = root\ngid = root\nuse chroot = no\n[tree]\npath = ${tree}\nread only = yes\n`
    )
    const running = await server(
      publisher,
      PORT,
      ...['rsync', '--daemon', '--no-detach', `--address=${publisher.address}`],
      ...[`--port=${PORT}`, `--config=${config}`]
    )
    return {
      async provide(reader, place) {
        const root = join(place, 'tree')
        await mkdir(root)
        const from = `rsync://${publisher.address}:${PORT}/tree/`
        await on(reader, 'rsync', '-aHAXz', '--numeric-ids', from, `${root}/`)
        return { root, async [Symbol.asyncDispose]() {} }
      },
      [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]()
    }
  }
}
