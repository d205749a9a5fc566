/**
 * The mounter process: `node mounter-main.js`, with a `MounterRequest` as one line of JSON on its
 * standard input. Greets on its standard output with one line, then lives as long as it has leases.
 */
import { openImage } from '../daemon/open-image.ts'
import { serveMounter } from './mounter-process.ts'

/** Loaded while peers are looked for. */
const loadMounting = async () => import('../fuse/mount-image.ts')

await serveMounter({
  openImage: async (options) => {
    const [session] = await Promise.all([openImage(options), loadMounting()])
    return session
  },
  mountImage: async (options) => (await loadMounting()).mountImage(options),
  unmountStale: async (directory) =>
    (await import('../fuse/stale-mounts.ts')).unmountStale(directory)
})
