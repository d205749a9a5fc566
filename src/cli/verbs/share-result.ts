import { ImageReference } from '../../p2p/link.ts'
import { formatBootstrap } from '../../rpc/bootstrap.ts'
import { DaemonClient } from '../../session/connection/client.ts'
import { openHome } from '../../home/home.ts'
import { METHODS } from '../../rpc/protocol.ts'
import type { PublishedWithProfile } from '../../session/publish/publish-profiled.ts'
import type { Published } from '../../session/publish/publish-source.ts'
import { findSimilarImage, type SimilarImage } from '../../session/publish/similar-image.ts'
import type { Globals } from '../parse/globals.ts'
import { printable } from '../print/output.ts'

type Shared = Published &
  Partial<Pick<PublishedWithProfile, 'profile'>> & {
    /** What is odd about the source. */
    readonly notices: readonly string[]
  }

/**
 * Tells of a publish. The link is printed before anything else is looked at, but in the one JSON document.
 *
 * @param flags.update what it is a version of: that has its chunks compared with the version before
 * @param flags.quiet the link alone
 */
export async function tellShared(
  published: Shared,
  { update, quiet = false }: { readonly update?: ImageReference; readonly quiet?: boolean },
  { home, output }: Globals
): Promise<void> {
  const { default: prettyBytes } = await import('pretty-bytes')
  const bootstrap = await privateNodes(home)
  const similar = async (): Promise<SimilarImage | undefined> =>
    update === undefined && !quiet
      ? findSimilarImage(home, ImageReference.parse(published.link))
      : undefined
  const document = { ...published, profile: published.profile ?? null, bootstrap }
  if (output.json) {
    return output.result({ ...document, similar: (await similar()) ?? null }, () => [])
  }
  output.result(document, () =>
    quiet
      ? [published.link]
      : described(published, { isUpdate: update !== undefined, bootstrap }, prettyBytes)
  )
  if (bootstrap !== null) {
    output.note(`peers find it only in this private DHT: --bootstrap ${formatBootstrap(bootstrap)}`)
  }
  const found = await similar()
  if (found) output.note(likeness(found, prettyBytes))
}

/** Nodes of the private DHT that the image is announced in; null for the public one, or where nobody answers. */
async function privateNodes(home: string): Promise<readonly string[] | null> {
  using client = await DaemonClient.connectRunning(openHome(home))
  return (await client?.request(METHODS.status, null))?.bootstrap ?? null
}

function described(
  published: Shared,
  { isUpdate, bootstrap }: { isUpdate: boolean; bootstrap: readonly string[] | null },
  prettyBytes: (bytes: number) => string
): string[] {
  const { name, version, files, bytes, storedBytes, newBytes, link, mirrorLink, profile } =
    published
  const where = bootstrap === null ? '' : `--bootstrap ${formatBootstrap(bootstrap)} `
  return [
    `${printable(name)} version ${version}: ${files} files, ${prettyBytes(bytes)}; ` +
      `${prettyBytes(storedBytes)} stored, ${prettyBytes(newBytes)} new`,
    ...(isUpdate
      ? [
          `${published.filesRead} files read, ${published.filesReused} unchanged since the last publish`
        ]
      : []),
    ...(profile
      ? [
          `a start reads ${profile.chunks} chunks, ${prettyBytes(profile.storedBytes)} stored: readers fetch them first`
        ]
      : []),
    '',
    `  boot it:    dat-container boot ${where}'${link}'`,
    `  mirror it:  dat-container mirror ${where}'${mirrorLink}'`,
    '',
    'The first link can read the image: give it only to people who may. The second cannot.',
    seeding(published)
  ]
}

function seeding({ announced, link }: Shared): string {
  if (announced) return 'This machine seeds the image while its daemon runs.'
  const address = link.includes('?peer=')
    ? ', which is in the link.'
    : ' (dat-container daemon start --listen PORT).'
  return `It is not announced in the DHT yet. Until then, peers can only find this machine by its address${address}`
}

function likeness(
  { name, key, commonChunks, chunks, commonBytes }: SimilarImage,
  prettyBytes: (bytes: number) => string
): string {
  const percent = Math.floor((100 * commonChunks) / chunks)
  return (
    `${percent} % of it (${prettyBytes(commonBytes)} stored) is also in your ${printable(name)}: published as a version of that ` +
    `(share --update ${key}) it would not be stored and sent again`
  )
}
