/**
 * The mounter process: `node mounter-main.js`, with a `MounterRequest` as one line of JSON on its
 * standard input. Greets on its standard output with one line, then lives as long as it has leases.
 */
import { beginOpening } from '../../session/open/open-image.ts'
import { serveMounter } from './mounter-process.ts'

/** Loaded while the request comes, or while peers are looked for. */
const mounting = import('../../fuse/mount-image.ts')

void serveMounter({
  beginOpening: async (options) => {
    const [opening] = await Promise.all([beginOpening(options), mounting])
    return opening
  },
  mountImage: async (options) => (await mounting).mountImage(options),
  takeOverImage: async (options) =>
    (await import('../../fuse/take-over-image.ts')).takeOverImage(options),
  unmountStale: async (directory) =>
    (await import('../../fuse/linux/stale-mounts.ts')).unmountStale(directory)
})
