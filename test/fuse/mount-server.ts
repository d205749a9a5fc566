/**
 * Serves an image of a directory in a process of its own, as users have it: reading a mount from the
 * process that serves it by synchronous calls would deadlock.
 *
 * Arguments: the options as JSON. Talks over the IPC channel.
 */
import { mountImage } from '../../src/fuse/mount-image.ts'
import type { ServerCommand, ServerOptions, ServerReply } from './served-image.ts'
import { scanDirectory } from './scanned-image.ts'

const options = JSON.parse(process.argv[2] ?? '{}') as ServerOptions

function reply(message: ServerReply): void {
  process.send?.(message)
}

async function main(): Promise<void> {
  const { tree, chunks } = scanDirectory(options.source)
  const { source: _source, ...where } = options
  const mounted = await mountImage({ ...where, content: async () => ({ tree, chunks }) })
  process.on('message', (command: ServerCommand) => {
    if (command === 'dispose') return process.disconnect()
    if (command === 'forget') chunks.reads.length = 0
    else if (command === 'exit') process.exit()
    // Reads are told of a failure.
    else if (command === 'serve') mounted.serve().catch(() => {})
    else if (command === 'preload') mounted.preload([...chunks.contents.keys()]).catch(() => {})
    else if (command !== 'reads') chunks.become(command)
    reply({ reads: chunks.reads.length, chunks: chunks.contents.length })
  })
  // Also when the test that started this has died.
  process.once('disconnect', () => {
    void Promise.resolve(mounted[Symbol.asyncDispose]()).finally(() => process.exit())
  })
  reply({ rootfs: mounted.rootfs, mode: mounted.mode })
}

main().catch((error: unknown) => {
  reply({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
  process.disconnect()
})
