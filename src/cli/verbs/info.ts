import type { ImageReference } from '../../p2p/link.ts'
import type { Command } from 'commander'
import type { ImageListing } from '../../rpc/protocol.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { interruptible } from '../print/interrupt.ts'
import { printable } from '../print/output.ts'
import { addOpenOptions, openToLook, type OpenFlags } from '../parse/open-options.ts'
import { peersText } from '../print/peers-text.ts'
import { fittedTable, table } from '../print/table.ts'

export function addInfo(program: Command): void {
  addOpenOptions(
    program
      .command('info')
      .description('show what an image is, its versions, and how much of it is here')
      .argument('<image>', 'a link, or the name of an image that is on this machine')
  )
    .addHelpText('after', "\nExample:\n  dat-container info 'dat://KEY#SECRET'")
    .action(async (link: ImageReference, flags: OpenFlags, command: Command) => {
      await info(link, flags, readGlobals(command))
    })
}

async function info(link: ImageReference, flags: OpenFlags, globals: Globals): Promise<void> {
  const { default: prettyBytes } = await import('pretty-bytes')
  await interruptible(async (signal) => {
    await using image = await openToLook(link, flags, globals, signal)
    const { manifest } = image
    const stats = await image.stats()
    const freed = await image.freedVersions()
    const listing = await listingOf(globals.home, image.key)
    const { localBytes, imageBytes, peers, droppedPeers, complete } = stats
    const document = {
      ...manifest,
      link: image.link,
      key: image.key,
      localBytes,
      peers,
      droppedPeers,
      complete,
      freed,
      mayBeOld: image.news.mayBeOld,
      forked: image.news.forked !== null,
      kept: listing?.kept ?? null,
      pinned: listing?.pinned ?? false,
      copies: listing?.copies ?? [],
      uploadedBytes: listing?.uploadedBytes ?? 0,
      downloadedBytes: listing?.downloadedBytes ?? 0,
      lastSeen: listing?.lastSeen ?? null
    }
    const start =
      manifest.start.mode === 'boot' ? 'its init' : (manifest.start.argv ?? []).join(' ')
    globals.output.result(document, () => [
      ...table([
        ['name', printable(manifest.name)],
        ...(manifest.description ? [['description', printable(manifest.description)]] : []),
        ['key', image.key],
        ['version', `${manifest.version}, of ${manifest.created}`],
        ['platform', `${manifest.os}/${manifest.arch}`],
        ['starts', printable(start)],
        [
          'content',
          `${manifest.entries} entries, ${manifest.files} files, ${prettyBytes(manifest.bytes)}`
        ],
        ['stored', `${prettyBytes(imageBytes)} in ${manifest.chunks} chunks`],
        ['here', `${prettyBytes(localBytes)}${complete ? ', complete' : ''}`],
        ['peers', `${peersText(peers, droppedPeers)}${completeText(document.copies)}`]
      ]),
      '',
      ...fittedTable([
        ['VERSION', 'CREATED', 'FILES', 'SIZE', 'NEW', 'STATE', 'MESSAGE'],
        ...manifest.versions.map((record) => [
          String(record.version),
          record.created,
          String(record.files),
          prettyBytes(record.bytes),
          prettyBytes(record.newBytes),
          freed.includes(record.version) ? 'freed' : '-',
          printable(record.message ?? '')
        ])
      ])
    ])
  })
}

/** How it stands with the image on this machine; undefined where the daemon does not list it. */
async function listingOf(home: string, key: string): Promise<ImageListing | undefined> {
  const { METHODS } = await import('../../rpc/protocol.ts')
  const { DaemonClient } = await import('../../session/connection/client.ts')
  const { openHome } = await import('../../home/home.ts')
  using client = await DaemonClient.connect(openHome(home))
  const found = (await client.request(METHODS.images, { settles: true })).filter(
    (one) => one.key === key
  )
  return found.find(({ role }) => role !== 'mirror') ?? found[0]
}

function completeText(copies: ImageListing['copies']): string {
  if (copies.length === 0) return ''
  return `, ${copies.filter(({ complete }) => complete).length} of them complete`
}
