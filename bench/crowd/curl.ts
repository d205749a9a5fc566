import { mkdtemp, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { on } from '../rivals/rival.ts'
import { webServer } from '../rivals/web-server.ts'
import type { CrowdWay } from './way.ts'

const PORT = 8080
const ARCHIVE = 'image.tar'

/** All readers get one archive by HTTP: what a download page is. */
export const CURL: CrowdWay = {
  name: 'curl',
  programs: { nginx: 'nginx-light', curl: 'curl' },
  async serve(network, source) {
    const publisher = network.star.host('publisher')
    const directory = await mkdtemp(join(network.directory, 'curl-'))
    const archive = join(directory, ARCHIVE)
    await execa('tar', ['-cf', archive, '-C', source, '.'])
    const { size } = await stat(archive)
    const server = await webServer(publisher, PORT, directory, directory)
    return {
      bytes: size,
      async reader(host) {
        const target = join(directory, host)
        return {
          take: () =>
            on(network.star.host(host), 'curl', '-sSf', '-o', target, `${server.url}/${ARCHIVE}`),
          counts: async () => ({}),
          [Symbol.asyncDispose]: () => rm(target, { force: true })
        }
      },
      costs: async () => ({}),
      async [Symbol.asyncDispose]() {
        await server[Symbol.asyncDispose]()
        await rm(directory, { recursive: true })
      }
    }
  }
}
