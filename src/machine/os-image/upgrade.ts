import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../../core/atomic-file.ts'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import { formatLink, ImageReference } from '../../p2p/link.ts'
import {
  changeInstalled,
  readInstalled,
  type InstalledEditor,
  type InstalledImage,
  type InstalledImages
} from './installed-images.ts'
import { machineHome } from '../state/machine-paths.ts'
import { listMachines } from '../qemu/machine-summary.ts'
import { formatKeyId, parsePublicKey, verifyMinisign, type MinisignPublicKey } from './minisign.ts'
import {
  fetchFiles,
  openNewest,
  readOffer,
  type OfferedImage,
  type PeerOptions
} from './offered-image.ts'
import { openImage } from './os-image.ts'
import { givenPublicKey, INITRD, KERNEL, MANIFEST, refusedImage, SIGNATURE } from './os-manifest.ts'
import { compareReleases } from './release-order.ts'

export interface UpgradeRequest extends PeerOptions {
  /** A shared HyperOS; undefined for the one of the last upgrade. */
  readonly link?: ImageReference | undefined
  /** A minisign key, or the path of one. Undefined for the key that this home trusts. */
  readonly publicKey?: string | undefined
  /** Trust `publicKey` from now on where this home trusts another key. */
  readonly replaceKey?: boolean
  /** Take an image whose manifest nobody signed, or one where no key is known. */
  readonly allowUnsigned?: boolean
  readonly allowDowngrade?: boolean
  /** Only look what there is. */
  readonly check?: boolean
  readonly onProgress?: (done: number, all: number) => void
}

/** The result of an upgrade. */
export interface Upgraded {
  /** `available`: there is another one, and it was only looked for. */
  readonly state: 'installed' | 'available' | 'current'
  readonly image: InstalledImage
  /** The image that was current before; if nothing was installed, the current one. */
  readonly before: InstalledImage | null
  /** Machines that run and keep what they were started with until their next start. */
  readonly running: readonly string[]
}

/**
 * Looks for the newest HyperOS among peers, checks its signature before anything but its manifest is
 * fetched, and installs it whole or not at all.
 *
 * @throws ContainerError `USAGE` without a link or a key, `BAD_SOURCE` for a signature, key, age or
 *   file that is refused, `BAD_MANIFEST`, `BUSY`, `DISK_FULL`, `PEERS_UNREACHABLE`, `CANCELLED`
 */
export async function upgrade(request: UpgradeRequest): Promise<Upgraded> {
  const home = machineHome(request.home)
  if (request.check === true) {
    const known = readInstalled(home.image)
    return withOffer(request, known, (_offer, facts) => {
      const state = facts.digest === known.current?.digest ? 'current' : 'available'
      return Promise.resolve({ state, image: facts, before: known.current ?? null, running: [] })
    })
  }
  return changeInstalled(home, async (editor) => {
    await editor.prune()
    return withOffer(request, editor.known, async (offer, facts, trusted) => {
      const { current } = editor.known
      const remembered = {
        link: rememberedLink(offer.image.link),
        ...(trusted === undefined ? {} : { publicKey: trusted.line })
      }
      const running = await runningMachines(request.home)
      const isSame = current?.digest === facts.digest
      const wasWhole = isSame && (await isWhole(editor, current.digest))
      if (!wasWhole) await install(offer, editor, request)
      await keepSignature(offer, facts, editor)
      if (wasWhole) {
        const image = { ...current, signedBy: facts.signedBy ?? current.signedBy }
        await editor.write({ ...remembered, current: image })
        return { state: 'current', image, before: current, running }
      }
      const previous = isSame ? editor.known.previous : current
      await editor.write({
        ...remembered,
        current: facts,
        ...(previous === undefined ? {} : { previous })
      })
      await editor.prune()
      return { state: 'installed', image: facts, before: current ?? null, running }
    })
  })
}

/**
 * Makes the HyperOS that was current before the current one again, once it was checked.
 *
 * @throws ContainerError `NOT_FOUND` when there is none, `BAD_SOURCE`, `BAD_MANIFEST`, `BUSY`
 */
export async function rollback(home: string): Promise<Upgraded> {
  return changeInstalled(machineHome(home), async (editor) => {
    const { current, previous } = editor.known
    if (current === undefined || previous === undefined) {
      throw new ContainerError('NOT_FOUND', 'there is no HyperOS before the current one', {
        hint: 'dat-container machine images shows what is installed'
      })
    }
    await openImage(editor.folder(previous.digest))
    await editor.write({ current: previous, previous: current })
    const running = await runningMachines(home)
    return { state: 'installed', image: previous, before: current, running }
  })
}

type UseOffer = (
  offer: OfferedImage,
  facts: InstalledImage,
  trusted: MinisignPublicKey | undefined
) => Promise<Upgraded>

/** Opens what peers offer and checks all that its manifest shows, before anything else is fetched. */
async function withOffer(
  request: UpgradeRequest,
  known: InstalledImages,
  use: UseOffer
): Promise<Upgraded> {
  const link =
    request.link ?? (known.link === undefined ? undefined : ImageReference.parse(known.link))
  if (link === undefined) {
    throw new ContainerError('USAGE', 'this home does not know where its HyperOS comes from', {
      hint: 'give the link once: dat-container machine upgrade LINK --public-key KEY'
    })
  }
  const trusted = await trustedKey(request, known)
  await using image = await openNewest(link, request)
  const offer = await readOffer(image, request.signal)
  const { digest, version, released, architecture } = offer.manifest
  const facts: InstalledImage = {
    digest,
    version: version ?? null,
    released: released ?? null,
    architecture: architecture ?? null,
    signedBy: signerOf(offer, trusted, request.allowUnsigned === true),
    installedAt: new Date().toISOString(),
    from: { key: image.key, version: image.version }
  }
  const { current } = known
  if (
    current !== undefined &&
    request.allowDowngrade !== true &&
    compareReleases(facts, current) < 0
  ) {
    throw new ContainerError(
      'BAD_SOURCE',
      `${describeRelease(facts)} is older than the installed ${describeRelease(current)}`,
      { hint: 'to install it anyway: --allow-downgrade; to go back one upgrade: machine rollback' }
    )
  }
  return await use(offer, facts, trusted)
}

async function trustedKey(
  { publicKey, replaceKey = false, allowUnsigned = false }: UpgradeRequest,
  known: InstalledImages
): Promise<MinisignPublicKey | undefined> {
  const before = known.publicKey === undefined ? undefined : parsePublicKey(known.publicKey)
  const given = publicKey === undefined ? undefined : await givenPublicKey(publicKey)
  if (before !== undefined && given !== undefined && before.line !== given.line && !replaceKey) {
    throw new ContainerError(
      'BAD_SOURCE',
      `this home trusts the key ${formatKeyId(before.keyId)}, not ${formatKeyId(given.keyId)}`,
      { hint: 'if you know from another source that the publisher has a new key: --replace-key' }
    )
  }
  const trusted = given ?? before
  if (trusted !== undefined || allowUnsigned) return trusted
  throw new ContainerError('USAGE', 'this home does not trust a key for HyperOS yet', {
    hint: 'give the publisher’s key once: --public-key KEY; to accept an unsigned image: --allow-unsigned'
  })
}

/** @returns the number of the key that signed it, or null where that is allowed */
function signerOf(
  { manifestText, signature }: OfferedImage,
  trusted: MinisignPublicKey | undefined,
  allowUnsigned: boolean
): string | null {
  if (trusted !== undefined && signature !== undefined) {
    verifyMinisign(Buffer.from(manifestText), signature, trusted)
    return formatKeyId(trusted.keyId)
  }
  if (allowUnsigned) return null
  throw refusedImage('its manifest is not signed')
}

/** Whether a folder holds the image, every byte of it. */
async function isWhole(editor: InstalledEditor, digest: string): Promise<boolean> {
  try {
    await openImage(editor.folder(digest))
    return true
  } catch (error) {
    if (isContainerError(error, 'BAD_MANIFEST', 'BAD_SOURCE')) return false
    throw error
  }
}

/** Leaves the image's folder whole, or what was there before. */
async function install(
  offer: OfferedImage,
  editor: InstalledEditor,
  { signal, onProgress }: UpgradeRequest
): Promise<void> {
  const { digest } = offer.manifest
  const folder = editor.folder(digest)
  // The one before, which was kept, and what another process was killed just after.
  if (await isWhole(editor, digest)) return
  const partial = `${folder}.partial`
  try {
    await mkdir(partial, { mode: 0o700 })
    await writeFileAtomically(join(partial, MANIFEST), offer.manifestText)
    await fetchFiles(offer, [KERNEL, INITRD], partial, {
      signal,
      ...(onProgress === undefined ? {} : { onProgress })
    })
    // Only one that is damaged can be in the way.
    await rm(folder, { recursive: true, force: true })
    await rename(partial, folder)
  } finally {
    await rm(partial, { recursive: true, force: true })
  }
}

/** Stores the checked signature next to the manifest, so that `machine start --pubkey` can check it again. */
async function keepSignature(
  { signature }: OfferedImage,
  { digest, signedBy }: InstalledImage,
  editor: InstalledEditor
): Promise<void> {
  if (signature === undefined || signedBy === null) return
  await writeFileAtomically(join(editor.folder(digest), SIGNATURE), signature)
}

/** Without a version: the next upgrade takes the newest. */
function rememberedLink({ link }: ImageReference): string {
  if (link === undefined) throw new TypeError('an image that is open has a link')
  return formatLink({ ...link, version: undefined })
}

async function runningMachines(home: string): Promise<string[]> {
  const machines = await listMachines(machineHome(home))
  return machines.filter(({ state }) => state !== 'stopped').map(({ name }) => name)
}

/** Formats a release, such as `HyperOS 0.1.0 of 2026-11-20 (4f2a…)`. */
export function describeRelease({
  digest,
  version,
  released
}: Pick<InstalledImage, 'digest' | 'version' | 'released'>): string {
  const name = version === null ? 'HyperOS' : `HyperOS ${version}`
  const day = released === null ? '' : ` of ${released.slice(0, 10)}`
  return `${name}${day} (${digest.slice(0, 12)})`
}
