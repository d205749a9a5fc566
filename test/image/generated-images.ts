import { execFileSync } from 'node:child_process'
import { gzipSync } from 'node:zlib'
import { END, entriesOf, pax } from './odd-archives.ts'
import type { HandMadeLayer } from './oci-images.ts'
import { random } from './trees.ts'

/** Around what readers count in: records, blocks, chunks, batches. */
const SIZES = [0, 1, 511, 512, 513, 4_095, 4_096, 65_535, 65_537, 131_072, 131_073, 300_000]
const NAMES = ['a', 'b', 'c', 'd', 'e', 'with space', 'n'.repeat(120)]
const LAYER = 'application/vnd.oci.image.layer.v1.tar'
const MAX_LAYERS = 4
const MAX_ENTRIES = 14

type Kind = 'directory' | 'file' | 'other'

/** What a seed makes of a range, and which of some. */
interface Choice {
  below(limit: number): number
  of<T>(list: readonly T[]): T
}

function choiceOf(seed: number): Choice {
  const next = random(seed)
  const below = (limit: number): number => Math.floor(next() * limit)
  return { below, of: (list) => list[below(list.length)]! }
}

/** An image of a few layers, each with some of everything that layers may hold, compressed in some way. */
export function generatedLayers(seed: number): HandMadeLayer[] {
  const choice = choiceOf(seed)
  const tree = new Map<string, Kind>([['', 'directory']])
  return Array.from({ length: 1 + choice.below(MAX_LAYERS) }, (_, n) => {
    const archive = generatedLayer(tree, choice, n > 0)
    return { ...compressedAs(archive, choice), archive }
  })
}

function generatedLayer(tree: Map<string, Kind>, choice: Choice, hasLower: boolean): Buffer {
  const parts: Buffer[] = []
  const lower = new Map(tree)
  /** What this layer speaks of; whiteouts are of other paths, since readers differ there. */
  const touched = new Set<string>()
  for (let n = 1 + choice.below(MAX_ENTRIES); n > 0; n--) {
    const entry =
      hasLower && choice.below(5) === 0
        ? whiteout(tree, lower, touched, choice)
        : added(tree, lower, touched, choice)
    if (entry !== undefined) parts.push(entry)
  }
  // Some end without a word, which layers may.
  return Buffer.concat(choice.below(4) === 0 && parts.length > 0 ? parts : [...parts, END])
}

function whiteout(
  tree: Map<string, Kind>,
  lower: Map<string, Kind>,
  touched: Set<string>,
  choice: Choice
): Buffer | undefined {
  const free = [...lower.keys()].filter(
    (path) => path !== '' && tree.has(path) && ![...touched].some((one) => isBelow(one, path))
  )
  if (free.length === 0) return undefined
  const path = choice.of(free)
  touched.add(path)
  const isOpaque = lower.get(path) === 'directory' && choice.below(2) === 0
  for (const other of tree.keys()) {
    if (isBelow(other, path) && (other !== path || !isOpaque)) tree.delete(other)
  }
  const slash = path.lastIndexOf('/') + 1
  if (isOpaque) return named(`${path}/.wh..wh..opq`, {}, choice)
  return named(`${path.slice(0, slash)}.wh.${path.slice(slash)}`, {}, choice)
}

function added(
  tree: Map<string, Kind>,
  lower: Map<string, Kind>,
  touched: Set<string>,
  choice: Choice
): Buffer | undefined {
  const directories = [...tree].filter(([, kind]) => kind === 'directory').map(([path]) => path)
  const parent = choice.of(directories)
  const path = parent === '' ? choice.of(NAMES) : `${parent}/${choice.of(NAMES)}`
  const targets = [...tree].filter(([other, kind]) => kind === 'file' && other !== path)
  const type = choice.of(['0', '0', '0', '5', '5', '2', '1', '6', '3'])
  const isLink = type === '1' && targets.length > 0
  const target = isLink ? choice.of(targets)[0] : '../somewhere/else'
  touched.add(path)
  if (isLink) touched.add(target)
  // It would be merged with a directory below: as overlays have it, but not umoci.
  if (type === '5' && lower.get(path) === 'directory' && tree.get(path) !== 'directory') {
    return undefined
  }
  const kind = type === '5' ? 'directory' : type === '0' || isLink ? 'file' : 'other'
  if (kind !== 'directory' || tree.get(path) !== 'directory') {
    for (const other of tree.keys()) if (isBelow(other, path)) tree.delete(other)
  }
  tree.set(path, kind)
  const mode = choice.of([0o644, 0o755, 0o4711, 0o600])
  const uid = choice.of([0, 1_000, 3_000_000])
  // What a target was replaced by is no file any more.
  if (isLink && tree.has(target)) return named(path, { type: '1', link: target }, choice)
  if (kind === 'file') {
    tree.set(path, 'file')
    const size = choice.of(SIZES)
    const content = `${path} ${choice.below(1_000)} `.repeat(size / 3 + 1).slice(0, size)
    return named(path, { type: '0', content, mode, uid }, choice)
  }
  if (type === '5') return named(`${path}/`, { type: '5', mode, uid }, choice)
  if (type === '6' || type === '3') return named(path, { type, mode, uid }, choice)
  tree.set(path, 'other')
  return named(path, { type: '2', link: '../somewhere/else', uid }, choice)
}

/** An entry, with a long name and a precise time in extended headers. */
function named(path: string, entry: Omit<Parameters<typeof entriesOf>[0], 'path'>, choice: Choice) {
  const link = entry.link ?? ''
  const long = [
    ...(path.length > 99 ? [`path=${path}`] : []),
    ...(link.length > 99 ? [`linkpath=${link}`] : [])
  ]
  const time = choice.below(3) === 0 ? [`mtime=${1 + choice.below(1e9)}.25`] : []
  const short = { ...entry, path: path.slice(0, 99), link: link.slice(0, 99) }
  const header = [...long, ...time]
  const bytes = entriesOf(short)
  return header.length === 0 ? bytes : Buffer.concat([pax(...header), bytes])
}

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`)
}

function compressedAs(
  archive: Buffer,
  choice: Choice
): Pick<HandMadeLayer, 'content' | 'mediaType'> {
  const half = choice.below(archive.length)
  const parts = [archive.subarray(0, half), archive.subarray(half)]
  const zstd = (input: Buffer, ...args: string[]): Buffer =>
    execFileSync('zstd', ['-q', '-c', ...args], { input, maxBuffer: 1e9 })
  const skippable = Buffer.from('532a4d1803000000010203', 'hex')
  const gzip = `${LAYER}+gzip`
  switch (choice.below(6)) {
    case 0:
      return { content: archive, mediaType: LAYER }
    case 1:
      return { content: gzipSync(archive), mediaType: gzip }
    case 2:
      return { content: Buffer.concat(parts.map((part) => gzipSync(part))), mediaType: gzip }
    case 3:
      return { content: zstd(archive, '--no-content-size'), mediaType: `${LAYER}+zstd` }
    case 4:
      return { content: zstd(archive, '--long=28'), mediaType: `${LAYER}+zstd` }
    default:
      return {
        content: Buffer.concat(parts.flatMap((part) => [skippable, zstd(part)])),
        mediaType: `${LAYER}+zstd`
      }
  }
}
