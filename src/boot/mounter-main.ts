/**
 * The mounter process: `node mounter-main.js`, with a `MounterRequest` as one line of JSON on its
 * standard input. Greets on its standard output with one line, then lives as long as it has leases.
 */
import { openImage } from '../daemon/open-image.ts'
import { mountImage } from '../fuse/mount-image.ts'
import { unmountStale } from '../fuse/stale-mounts.ts'
import { serveMounter } from './mounter-process.ts'

await serveMounter({ openImage, mountImage, unmountStale })
