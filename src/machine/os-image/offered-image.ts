import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DaemonClient } from '../../session/connection/client.ts'
import { openHome } from '../../home/home.ts'
import type { ImageReference } from '../../p2p/link.ts'
import type { InspectedImage } from '../../session/connection/image-session.ts'
import { openImage } from '../../session/open/open-image.ts'
import { METHODS } from '../../rpc/protocol.ts'
import { AtomicFile } from '../../core/atomic-file.ts'
import { throwIfCancelled } from '../../core/cancel.ts'
import { ContainerError } from '../../core/errors.ts'
import { readFileRange, resolvePath } from '../../image/chunk/read-file.ts'
import {
  listedFile,
  manifestText,
  MANIFEST,
  MANIFEST_BYTES,
  parseOsManifest,
  refusedImage,
  SIGNATURE,
  type OsManifest
} from './os-manifest.ts'

/** A shared image as its manifest describes it. Nothing else was fetched, and no signature was checked. */
export interface OfferedImage {
  readonly image: InspectedImage
  readonly manifest: OsManifest
  readonly manifestText: string
  /** Text of the manifest's signature; undefined where there is none. */
  readonly signature: string | undefined
}

export interface PeerOptions {
  readonly home: string
  /** How long peers are looked for. */
  readonly peerTimeoutMs: number
  /** Use only what is on this machine. */
  readonly offline: boolean
  readonly signal: AbortSignal
}

const SIGNATURE_BYTES = 4096
/** Bytes asked for at once; blocks of it are fetched side by side. */
const PIECE_BYTES = 4 * 1024 ** 2
const PEER_POLL_MS = 50

/**
 * Opens the newest version of a shared image that peers know, or the one that the link names.
 *
 * @throws ContainerError `PEERS_UNREACHABLE` when nobody can say what is newest, unless this home is
 *   its publisher; `BAD_LINK` and what else opening can say
 */
export async function openNewest(
  link: ImageReference,
  options: PeerOptions
): Promise<InspectedImage> {
  const { peerTimeoutMs, offline, signal } = options
  const open = (): Promise<InspectedImage> =>
    openImage({ ...options, link, lazyOnly: true, onPeerLoss: 'fail' })
  const first = await open()
  try {
    if (link.version !== undefined || offline || (await isOwner(first, options.home))) return first
    const deadline = performance.now() + peerTimeoutMs
    // A version from an earlier look opens without a peer, and may be out of date.
    while ((await first.stats()).peers === 0) {
      throwIfCancelled(signal)
      if (performance.now() > deadline) throw nobodyAnswers(first.version)
      await sleep(PEER_POLL_MS)
    }
    const newest = await open()
    await first[Symbol.asyncDispose]()
    return newest
  } catch (error) {
    await first[Symbol.asyncDispose]()
    throw error
  }
}

/**
 * Fetches manifest and signature of an image that was opened.
 *
 * @throws ContainerError `BAD_SOURCE` for an image that is no HyperOS, `BAD_MANIFEST`,
 *   `PEERS_UNREACHABLE`
 */
export async function readOffer(image: InspectedImage, signal: AbortSignal): Promise<OfferedImage> {
  const bytes = await readSmall(image, MANIFEST, MANIFEST_BYTES, signal)
  if (bytes === undefined) {
    throw new ContainerError('BAD_SOURCE', `this image is not a HyperOS: it has no ${MANIFEST}`, {
      hint: 'share a HyperOS that npm run os-image built with: dat-container share os-image/dist -n hyperos'
    })
  }
  const text = manifestText(bytes)
  const signature = await readSmall(image, SIGNATURE, SIGNATURE_BYTES, signal)
  return {
    image,
    manifest: parseOsManifest(text),
    manifestText: text,
    signature: signature?.toString('utf8')
  }
}

/**
 * Fetches files of an offered image into a folder and checks each against the manifest, by size
 * before it is fetched and by SHA-256 after.
 *
 * @param onProgress bytes done and bytes of all files
 * @throws ContainerError `BAD_SOURCE`, `PEERS_UNREACHABLE`, `DISK_FULL`, `IO`, `CANCELLED`
 */
export async function fetchFiles(
  { image, manifest }: OfferedImage,
  names: readonly string[],
  folder: string,
  { signal, onProgress }: { signal: AbortSignal; onProgress?: (done: number, all: number) => void }
): Promise<void> {
  const listed = names.map((name) => ({ ...listedFile(manifest.files, name), inode: 0 }))
  for (const file of listed) {
    const inode = findFile(image, file.name)
    if (inode === undefined) throw refusedImage(`it has no ${file.name}`)
    const size = image.tree.size(inode)
    if (size !== file.bytes) {
      throw refusedImage(`${file.name} has ${size} bytes, not ${file.bytes}`)
    }
    file.inode = inode
  }
  const all = listed.reduce((sum, { bytes }) => sum + bytes, 0)
  let done = 0
  for (const { name, bytes, sha256, inode } of listed) {
    await using file = await AtomicFile.create(join(folder, name))
    const hash = createHash('sha256')
    for (let offset = 0; offset < bytes; offset += PIECE_BYTES) {
      const { tree, chunks } = image
      const piece = await readFileRange(tree, chunks, inode, offset, PIECE_BYTES, signal)
      throwIfCancelled(signal)
      hash.update(piece)
      await file.write(piece)
      done += piece.length
      onProgress?.(done, all)
    }
    if (hash.digest('hex') !== sha256) throw refusedImage(`${name} does not match its manifest`)
    await file.commit()
  }
}

async function isOwner({ key }: InspectedImage, home: string): Promise<boolean> {
  using client = await DaemonClient.connect(openHome(home))
  const images = await client.request(METHODS.images, null)
  return images.some((image) => image.key === key && image.role === 'owner')
}

function findFile({ tree }: InspectedImage, name: string): number | undefined {
  const inode = resolvePath(tree, name)
  return inode !== undefined && tree.type(inode) === 'file' ? inode : undefined
}

async function readSmall(
  image: InspectedImage,
  name: string,
  limit: number,
  signal: AbortSignal
): Promise<Buffer | undefined> {
  const inode = findFile(image, name)
  if (inode === undefined) return undefined
  const { tree, chunks } = image
  if (tree.size(inode) > limit) throw refusedImage(`its ${name} is too large`)
  return readFileRange(tree, chunks, inode, 0, limit, signal)
}

function nobodyAnswers(version: number): ContainerError {
  return new ContainerError(
    'PEERS_UNREACHABLE',
    `no peer with this image answers: whether there is a version after ${version} is unknown`,
    { hint: `--offline installs version ${version} from this machine, if it is complete` }
  )
}
