import type { ImageReference } from '../../../p2p/link.ts'
import type { Command } from 'commander'
import type { Upgraded } from '../../../machine/os-image/upgrade.ts'
import { readGlobals, type Globals } from '../../parse/globals.ts'
import { interruptible } from '../../print/interrupt.ts'
import { printable } from '../../print/output.ts'
import { DEFAULT_PEER_TIMEOUT_MS } from '../../parse/peer-timeout.ts'
import { fittedTable } from '../../print/table.ts'
import { PUBLIC_KEY_VARIABLE } from './machine-start.ts'
import { addOpenOptions, type OpenFlags } from '../../parse/open-options.ts'

interface UpgradeFlags extends OpenFlags {
  readonly publicKey?: string
  readonly replaceKey?: boolean
  readonly allowUnsigned?: boolean
  readonly allowDowngrade?: boolean
  readonly check?: boolean
}

/** `machine upgrade`, `machine rollback` and `machine images`. */
export function addMachineImages(machine: Command): void {
  addOpenOptions(
    machine
      .command('upgrade')
      .description('install the newest HyperOS from peers, for all later machine starts')
      .argument('[link]', 'link or name of a shared HyperOS (default: the last one)')
      .option('--check', 'only show what is available')
      .option(
        '--public-key <key>',
        'the minisign key, or key file, that signs it; saved for later upgrades'
      )
      .option('--replace-key', 'trust --public-key instead of the saved key')
      .option('--allow-unsigned', 'accept an image without a signature or with an unknown key')
      .option('--allow-downgrade', 'accept an image that is older than the installed one')
  )
    .addHelpText(
      'after',
      '\nRunning machines keep the HyperOS that they were started with. The previous image is kept for' +
        '\n`machine rollback`.\n' +
        "\nExamples:\n  dat-container machine upgrade 'dat://KEY#SECRET' --public-key hyperos.pub\n" +
        '  dat-container machine upgrade --check'
    )
    .action(async (link: ImageReference | undefined, flags: UpgradeFlags, command: Command) =>
      upgrade(link, flags, readGlobals(command))
    )
  machine
    .command('rollback')
    .description('return to the HyperOS that was current before the last upgrade')
    .addHelpText('after', '\nExample:\n  dat-container machine rollback')
    .action(async (_flags: object, command: Command) => rollback(readGlobals(command)))
  machine
    .command('images')
    .description('list installed HyperOS images; * marks the one that machines start')
    .addHelpText('after', '\nExample:\n  dat-container machine images')
    .action(async (_flags: object, command: Command) => images(readGlobals(command)))
}

async function upgrade(
  link: ImageReference | undefined,
  flags: UpgradeFlags,
  { home, output }: Globals
): Promise<void> {
  const { upgrade: run, describeRelease } = await import('../../../machine/os-image/upgrade.ts')
  const { progressBar } = await import('../../print/progress.ts')
  const found = await interruptible(async (signal) => {
    using bar = progressBar('fetching', output.json)
    return run({
      home,
      link,
      publicKey: flags.publicKey ?? (process.env[PUBLIC_KEY_VARIABLE] || undefined),
      replaceKey: flags.replaceKey ?? false,
      allowUnsigned: flags.allowUnsigned ?? false,
      allowDowngrade: flags.allowDowngrade ?? false,
      check: flags.check ?? false,
      peerTimeoutMs: flags.peerTimeout ?? DEFAULT_PEER_TIMEOUT_MS,
      offline: flags.offline ?? false,
      signal,
      onProgress: (done, all) => bar.update(done, all, '')
    })
  })
  const named = process.env['DAT_CONTAINER_OS_IMAGE']
  if (named && found.state === 'installed') {
    output.note(`note: machines start ${printable(named)}, which DAT_CONTAINER_OS_IMAGE names`)
  }
  output.result(found, () => {
    const name = describeRelease(found.image)
    const by =
      found.image.signedBy === null ? 'signed by nobody' : `signed by ${found.image.signedBy}`
    const before = found.before === null ? '' : `, after ${describeRelease(found.before)}`
    const lines = {
      installed: `installed ${name}, ${by}${before}`,
      available: `${name}, ${by}, is available; to install it, leave out --check`,
      current: `${name} is installed, and no peer has a newer one`
    }
    return [printable(lines[found.state]), ...stillRunning(found)]
  })
}

async function rollback({ home, output }: Globals): Promise<void> {
  const { rollback: run, describeRelease } = await import('../../../machine/os-image/upgrade.ts')
  const done = await run(home)
  output.result(done, () => [
    printable(`machines start ${describeRelease(done.image)} again`),
    ...stillRunning(done)
  ])
}

function stillRunning({ state, running }: Upgraded): string[] {
  if (state !== 'installed' || running.length === 0) return []
  return [
    `these keep running what they were started with: ${running.join(', ')} (dat-container machine restart NAME)`
  ]
}

async function images({ home, output }: Globals): Promise<void> {
  const { listImages } = await import('../../../machine/os-image/list-images.ts')
  const { default: prettyBytes } = await import('pretty-bytes')
  const list = await listImages(home)
  output.result(list, () => [
    ...fittedTable([
      ['', 'IMAGE', 'VERSION', 'RELEASED', 'ARCH', 'DIGEST', 'SIGNED BY', 'SIZE', 'WHERE'],
      ...list.images.map((image) => [
        image.isStarted ? '*' : '',
        image.kind,
        image.version ?? '-',
        image.released?.slice(0, 16) ?? '-',
        image.architecture ?? '-',
        image.digest?.slice(0, 12) ?? 'damaged',
        image.signedBy ?? '-',
        prettyBytes(image.bytes),
        printable(image.path)
      ])
    ]),
    ...(list.upgradesFrom === null
      ? []
      : [`upgrades come from ${list.upgradesFrom}, trusted key: ${list.publicKeyId ?? 'none'}`])
  ])
}
