import { createHash } from 'node:crypto'
import { JsonFields } from '../../core/json-fields.ts'
import { badImage } from './image-error.ts'
import { noBlob } from './blob-store.ts'
import type { BlobStore } from './blob-store.ts'

/** Manifests, indexes and configs. Registries refuse larger ones. */
export const MAX_JSON_BYTES = 4 * 1024 * 1024
const DIGEST = /^sha256:[0-9a-f]{64}$/

/** A file of an image, and what it must be. */
export interface Blob {
  readonly name: string
  /** `sha256:` and 64 hex digits; undefined where the image does not say. */
  readonly digest?: string
  readonly size?: number
}

/** @throws ContainerError `BAD_SOURCE` for anything but a sha256 */
export function checkDigest(digest: string): string {
  if (DIGEST.test(digest)) return digest
  const known = /^sha(384|512):[0-9a-f]+$/.test(digest)
  throw badImage(
    known ? `its digests are ${digest.slice(0, 6)}` : 'a digest does not parse',
    known ? 'copy it with skopeo to make them sha256' : undefined
  )
}

/**
 * Reads a JSON document of an image whole and checks it against its digest.
 *
 * @param label what messages call it @default its name
 * @throws ContainerError `BAD_SOURCE`, `IO`
 */
export async function readJson(
  store: BlobStore,
  blob: Blob,
  label = blob.name
): Promise<JsonFields> {
  const size = await checkedSize(store, blob)
  if (size > MAX_JSON_BYTES) throw badImage(`${blob.name} has ${size} bytes, too many for JSON`)
  const hash = createHash('sha256')
  const pieces: Buffer[] = []
  for await (const piece of store.read(blob.name)) {
    hash.update(piece)
    pieces.push(piece)
  }
  const bytes = Buffer.concat(pieces)
  checkContent(blob, bytes.length, size, hash.digest('hex'))
  let value: unknown
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    value = JSON.parse(text, withoutNulls)
  } catch (error) {
    throw badImage(`${label} is no JSON`, undefined, error)
  }
  return jsonFields(Array.isArray(value) ? { items: value } : value, label)
}

/** Writers in Go say null for a field that is not there. In a list it would leave a gap, so there it stays. */
function withoutNulls(this: unknown, _name: string, value: unknown): unknown {
  return value === null && !Array.isArray(this) ? undefined : value
}

/** Fields of a document; what is wrong with them is the image's fault. */
function jsonFields(value: unknown, name: string): JsonFields {
  return new JsonFields(value, name, (message) => badImage(message))
}

/** The size of a blob, before any of it is read. */
export async function checkedSize(store: BlobStore, { name, size }: Blob): Promise<number> {
  const actual = await store.size(name)
  if (actual === undefined) throw noBlob(name)
  if (size !== undefined && actual !== size) {
    const what = actual < size ? 'it is cut' : 'it is not the one in its manifest'
    throw badImage(`${name} has ${actual} bytes where its manifest says ${size}: ${what}`)
  }
  return actual
}

/** Compares what was read with what it must be. */
export function checkContent(blob: Blob, bytes: number, size: number, hex: string): void {
  if (bytes !== size) throw badImage(`${blob.name} changed while it was read`)
  if (blob.digest !== undefined && blob.digest !== `sha256:${hex}`) {
    throw badImage(`${blob.name} does not have its digest: its content is sha256:${hex}`)
  }
}
