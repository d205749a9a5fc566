import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { execa } from 'execa'
import { on, server, type Rival } from './rival.ts'

const PORT = 5000

/** `skopeo copy` from a registry, then `umoci unpack`: what container engines do before they start one. */
export const registry: Rival = {
  name: 'skopeo + umoci',
  programs: { skopeo: 'skopeo', umoci: 'umoci', 'docker-registry': 'docker-registry' },
  async serve(tree, publisher, directory) {
    const layout = await layoutOf(tree)
    const config = join(directory, 'config.yml')
    const addr = `${publisher.address}:${PORT}`
    await writeFile(
      config,
      JSON.stringify({
        version: '0.1',
        log: { level: 'error', accesslog: { disabled: true } },
        storage: { filesystem: { rootdirectory: join(directory, 'storage') } },
        http: { addr, secret: 'not one' }
      })
    )
    // It calls every question for what it does not have yet an error.
    const quietly = ['sh', '-c', 'exec "$@" 2> "$0"', join(directory, 'log')]
    const command = [...quietly, 'docker-registry', 'serve', config]
    const running = await server(publisher, PORT, ...command)
    const image = `docker://${addr}/tree:latest`
    const plain = ['skopeo', '--insecure-policy', 'copy', '--quiet']
    await on(publisher, ...plain, '--dest-tls-verify=false', `oci:${layout}:latest`, image)
    return {
      async provide(reader, place) {
        const copy = join(place, 'layout')
        const bundle = join(place, 'bundle')
        await on(reader, ...plain, '--src-tls-verify=false', image, `oci:${copy}:latest`)
        await on(reader, 'umoci', 'unpack', '--image', `${copy}:latest`, bundle)
        return { root: join(bundle, 'rootfs'), async [Symbol.asyncDispose]() {} }
      },
      [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]()
    }
  }
}

/** One layer, compressed as umoci does by default: gzip. */
async function layoutOf(tree: string): Promise<string> {
  const layout = `${tree}.oci`
  if (existsSync(layout)) return layout
  const partial = `${layout}.partial`
  await rm(partial, { recursive: true, force: true })
  await mkdir(join(partial, '..'), { recursive: true })
  await execa('umoci', ['init', '--layout', partial])
  await execa('umoci', ['new', '--image', `${partial}:latest`])
  await execa('umoci', ['insert', '--image', `${partial}:latest`, tree, '/'])
  await rename(partial, layout)
  return layout
}
