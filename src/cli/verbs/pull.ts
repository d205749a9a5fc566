import type { ImageReference } from '../../p2p/link.ts'
import type { Command } from 'commander'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { PullSilence } from '../print/pull-silence.ts'
import { interruptible } from '../print/interrupt.ts'
import { addOpenOptions, openToLook, REUSE_OPTION, type OpenFlags } from '../parse/open-options.ts'

const PROGRESS_EVERY_MS = 200

export function addPull(program: Command): void {
  addOpenOptions(
    program
      .command('pull')
      .description('fetch a whole image, so that it boots without network')
      .argument('<image>', 'a link, or the name of an image that is on this machine')
      .option(...REUSE_OPTION)
  )
    .addHelpText('after', "\nExample:\n  dat-container pull 'dat://KEY#SECRET'")
    .action(async (link: ImageReference, flags: OpenFlags, command: Command) => {
      await pull(link, flags, readGlobals(command))
    })
}

async function pull(link: ImageReference, flags: OpenFlags, globals: Globals): Promise<void> {
  const { default: prettyBytes } = await import('pretty-bytes')
  const { prepareMetadata } = await import('../../home/metadata-cache.ts')
  const { progressBar } = await import('../print/progress.ts')
  const { output } = globals
  await interruptible(async (signal) => {
    await using image = await openToLook(link, flags, globals, signal)
    using bar = progressBar('pulling', output.json)
    const silence = new PullSilence(output, flags)
    const done = { value: false }
    // Made while content comes, and not when somebody waits for the first mount.
    const whole = Promise.all([image.fetchAll(signal), prepareMetadata(globals, image)])
    const fetched = whole.finally(() => (done.value = true))
    // It may fail while nobody waits for it yet.
    fetched.catch(() => {})
    while (!done.value) {
      const { localBytes, reusedBytes, imageBytes, peers } = await image.stats()
      bar.update(localBytes + reusedBytes, imageBytes, `${peers} peers`)
      silence.look({ bytes: localBytes + reusedBytes, imageBytes, peers })
      await Promise.race([fetched, new Promise((r) => setTimeout(r, PROGRESS_EVERY_MS))])
    }
    await fetched
    const { fetchedBytes, ...stats } = await image.stats()
    // A daemon that was started meanwhile began to count anew.
    const isSame = fetchedBytes >= image.fetchedBefore
    const now = isSame ? fetchedBytes - image.fetchedBefore : fetchedBytes
    const { link: canonical, key, version } = image
    const reused =
      stats.reusedBytes > 0 ? `, ${prettyBytes(stats.reusedBytes)} in other images here` : ''
    output.result({ link: canonical, key, version, ...stats, fetchedBytes: now }, () => [
      `version ${version} is all here: ${prettyBytes(stats.imageBytes)}, ` +
        `${now === 0 ? 'nothing' : prettyBytes(now)} fetched now${reused}`
    ])
  })
}
