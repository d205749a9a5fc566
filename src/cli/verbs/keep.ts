import type { Command } from 'commander'
import type { ImageReference } from '../../p2p/link.ts'
import { eachOf } from '../print/each-of.ts'
import { followChannel } from './follow-channel.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { interruptible } from '../print/interrupt.ts'
import { printable } from '../print/output.ts'
import { peerTimeoutOption } from '../parse/peer-timeout.ts'
import { Seeking } from '../print/seeking.ts'

interface SeedFlags {
  readonly follow?: boolean
  readonly wait?: boolean
  readonly peerTimeout: number
}

export function addKeep(program: Command): void {
  program
    .command('seed')
    .description('keep all of an image on this machine, and serve it from now on')
    .argument('<image>', 'a link, or the name of an image that is on this machine')
    .option('--follow', 'keep what a channel names, now and whenever it names another image')
    .option('--wait', 'return when all of it is here')
    .addOption(peerTimeoutOption())
    .addHelpText(
      'after',
      '\nNew versions are fetched as soon as peers have them. IMAGE@N keeps version N and fetches no later one. The daemon\n' +
        'continues after a restart. A seeded image is never evicted. `unseed` removes it.\n' +
        '\nWith --follow, the image that a channel names takes the place of the one before, which is removed when the new one is\n' +
        'complete and nothing uses it. `channel unfollow` ends that.\n' +
        "\nExamples:\n  dat-container seed 'dat://KEY#SECRET' --wait\n  dat-container seed debian@2\n" +
        "  dat-container seed --follow 'dat-channel://KEY#SECRET'"
    )
    .action(async (image: ImageReference, flags: SeedFlags, command: Command) => {
      if (flags.follow === true) await followChannel(image, 'seed', flags, readGlobals(command))
      else await seed(image, flags, readGlobals(command))
    })
  addPin(program, 'pin', true)
  addPin(program, 'unpin', false)
}

function addPin(program: Command, verb: 'pin' | 'unpin', pinned: boolean): void {
  program
    .command(verb)
    .description(pinned ? 'never evict an image' : 'let an image be evicted again')
    .argument('<images...>', 'name, beginning of the key, link or mirror link of each image')
    .addHelpText(
      'after',
      pinned
        ? '\nWhat is here of a pinned image stays when the store reaches max-disk. Nothing is fetched: `seed` does that.\n' +
            '\nExample:\n  dat-container pin debian'
        : '\nExample:\n  dat-container unpin debian'
    )
    .action(async (images: ImageReference[], _flags: object, command: Command) => {
      await pin(images, pinned, readGlobals(command))
    })
}

async function seed(image: ImageReference, flags: SeedFlags, globals: Globals): Promise<void> {
  const { METHODS } = await import('../../rpc/protocol.ts')
  const { untilKept } = await import('../print/until-kept.ts')
  using client = await connect(globals)
  await interruptible(async (signal) => {
    const seeking = new Seeking(globals.output, flags.peerTimeout, false)
    const begun = await client
      .request(METHODS.seed, {
        image,
        isUrgent: flags.wait ?? false,
        peerTimeoutMs: flags.peerTimeout
      })
      .finally(() => seeking.found())
    const state = flags.wait
      ? await untilKept(client, begun, 'seeding', globals.output.json, signal)
      : begun
    globals.output.result(state, () => [
      `seeding ${printable(state.name)}: ${state.blocksHeld} of ${state.blocksKnown} blocks here` +
        (typeof state.kept === 'number' ? `, version ${state.kept} is kept` : '')
    ])
  })
}

async function pin(
  images: readonly ImageReference[],
  pinned: boolean,
  globals: Globals
): Promise<void> {
  const { METHODS } = await import('../../rpc/protocol.ts')
  using client = await connect(globals)
  const [only, ...more] = await eachOf(images, globals.output, (image) =>
    client.request(METHODS.pin, { image, pinned })
  )
  if (only === undefined) return
  globals.output.result(images.length === 1 ? only : [only, ...more], () =>
    [only, ...more].map(({ name }) =>
      pinned ? `${printable(name)} is never evicted` : `${printable(name)} may be evicted`
    )
  )
}

async function connect(globals: Globals) {
  const { DaemonClient } = await import('../../session/connection/client.ts')
  const { openHome } = await import('../../home/home.ts')
  return DaemonClient.connect(openHome(globals.home))
}
