import { encodeProfile, type BootProfile } from '../format/boot-profile.ts'
import { throwIfCancelled } from '../../core/cancel.ts'
import { planChunkHashes } from '../format/chunk-hashes.ts'
import { compressPart, encodeIndex, isPart, pointerTo } from '../format/index-codec.ts'
import { planIndex } from '../format/index-part.ts'
import { MANIFEST_FORMAT, MANIFEST_FORMAT_VERSION } from '../format/manifest.ts'
import type { BlockSink } from '../chunk/block-sink.ts'
import type { ChunkStore } from './chunk-store.ts'
import type { ColumnTree } from '../tree/column-tree.ts'
import type {
  DifferencePointer,
  Manifest,
  PartPointer,
  StartCommand,
  VersionRecord
} from '../format/manifest.ts'
import type { PublishOptions } from './publish-options.ts'

/** What a version's content does not tell by itself. */
export interface VersionFacts {
  /** Kind of the source, as in the manifest. */
  readonly kind: string
  readonly arch: string
  readonly start: StartCommand
  /** Stored bytes of content that this version appended. */
  readonly newBytes: number
  readonly profile?: BootProfile
}

/** Hashes do not compress. */
const HASHES_LEVEL = 1
/**
 * Older ones leave the history, so that a manifest stays a small block: the manifest of the oldest that
 * is left lists them.
 */
const MAX_KEPT_VERSIONS = 64
const MAX_HISTORY_CHARACTERS = 64 * 1024

/**
 * Appends what follows a version's content: its packed index, its boot profile, its chunk hashes.
 *
 * @param store where each chunk of `tree` is, and what it hashes to
 * @returns the manifest; its block must be the next one the caller appends
 * @throws ContainerError `CANCELLED`, and what the sink throws
 */
export async function writeManifest(
  sink: BlockSink,
  tree: ColumnTree,
  store: ChunkStore,
  facts: VersionFacts,
  options: PublishOptions
): Promise<Manifest> {
  const { previousManifest: before } = options
  throwIfCancelled(options.signal)
  const packed = encodeIndex(tree)
  await sink.announceIndex?.(packed)
  // Asked for in this order, and one is appended while the next is packed.
  const appends = [
    appendIndex(sink, packed, options),
    // Beside the index, as both are asked for at once.
    appendProfile(sink, facts.profile, options),
    appendHashes(sink, store.hashes(), options),
    sink.append([])
  ] as const
  await Promise.allSettled(appends)
  const [index, profile, chunkHashes, blocks] = await Promise.all(appends)
  const known: readonly unknown[] = [before?.index, before?.profile, before?.chunkHashes]
  const partBytes = [index, profile, chunkHashes]
    .filter((part) => part !== undefined && !known.includes(part))
    .reduce((sum, part) => sum + (part?.storedBytes ?? 0), 0)

  const created = (options.created ?? new Date()).toISOString()
  const version = (before?.version ?? 0) + 1
  const sums = countFiles(tree)
  const record = {
    version,
    // The manifest's own block comes next.
    blocks: blocks + 1,
    created,
    ...(options.message === undefined ? {} : { message: options.message }),
    ...sums,
    newBytes: facts.newBytes + partBytes
  }
  return {
    format: MANIFEST_FORMAT,
    formatVersion: MANIFEST_FORMAT_VERSION,
    version,
    name: options.name,
    ...(options.description === undefined ? {} : { description: options.description }),
    arch: facts.arch,
    os: 'linux',
    created,
    source: { kind: facts.kind },
    start: facts.start,
    ...sums,
    entries: tree.entryCount,
    storedBytes: store.storedBytes,
    chunks: store.length,
    index,
    chunkHashes,
    ...(profile === undefined ? {} : { profile }),
    versions: recentVersions([...(before?.versions ?? []), record])
  }
}

function recentVersions(versions: readonly VersionRecord[]): VersionRecord[] {
  const recent: VersionRecord[] = []
  let characters = 0
  for (const record of versions.slice(-MAX_KEPT_VERSIONS).toReversed()) {
    characters += JSON.stringify(record).length
    // The one before this is what an update is compared with.
    if (recent.length >= 2 && characters > MAX_HISTORY_CHARACTERS) break
    recent.push(record)
  }
  return recent.toReversed()
}

/** Counts in the tree, as one entry of an archive may replace another. */
function countFiles(tree: ColumnTree): { files: number; bytes: number } {
  let files = 0
  let bytes = 0
  for (let inode = 0; inode < tree.inodeCount; inode++) {
    if (tree.type(inode) !== 'file') continue
    files++
    bytes += tree.size(inode)
  }
  return { files, bytes }
}

async function appendIndex(
  sink: BlockSink,
  packed: Buffer,
  { previous, previousManifest }: PublishOptions
): Promise<DifferencePointer> {
  const before =
    previous && previousManifest
      ? { stored: previous.index, pointer: previousManifest.index }
      : undefined
  const plan = planIndex(packed, before)
  if (!('digest' in plan)) {
    const part = pointerTo(plan.blocks, await sink.append(plan.blocks), packed.length)
    return plan.base === undefined ? part : { ...part, base: plan.base }
  }
  return plan
}

async function appendProfile(
  sink: BlockSink,
  profile: BootProfile | undefined,
  { previousManifest }: PublishOptions
): Promise<PartPointer | undefined> {
  if (profile === undefined || profile.chunks.length === 0) return undefined
  return await appendPart(sink, encodeProfile(profile), previousManifest?.profile)
}

async function appendHashes(
  sink: BlockSink,
  hashes: Uint8Array,
  { previous, previousManifest }: PublishOptions
): Promise<DifferencePointer> {
  const before =
    previous && previousManifest
      ? { stored: previous.chunkHashes, pointer: previousManifest.chunkHashes }
      : undefined
  const plan = planChunkHashes(hashes, before)
  if (!('content' in plan)) return plan
  const part = await appendPart(sink, plan.content, undefined, HASHES_LEVEL)
  return plan.base === undefined ? part : { ...part, base: plan.base }
}

/** Appends a part, unless the previous version has an equal one. */
async function appendPart(
  sink: BlockSink,
  bytes: Uint8Array,
  previous: PartPointer | undefined,
  level?: number
): Promise<PartPointer> {
  const blocks = compressPart(bytes, level)
  if (previous !== undefined && isPart(previous, blocks, bytes.length)) return previous
  return pointerTo(blocks, await sink.append(blocks), bytes.length)
}
