import { ContainerError } from '../../core/errors.ts'
import { JsonFields, badManifest } from '../../core/json-fields.ts'
import { MANIFEST_FORMAT, MANIFEST_FORMAT_VERSION } from './manifest.ts'
import { CHUNK_BYTES } from '../tree/tree.ts'
import { MAX_CHUNKS, MAX_ENTRIES } from '../tree/tree-limits.ts'
import type {
  DifferencePointer,
  Healthcheck,
  Manifest,
  PartPointer,
  StartCommand,
  VersionRecord
} from './manifest.ts'

/** A manifest is small; its history of versions is what grows. */
export const MAX_MANIFEST_BYTES = 1024 * 1024
const MAX_NAME_LENGTH = 256
const MAX_TEXT_LENGTH = 4096
/** Records in a manifest; older ones are in the manifest of the oldest. */
const MAX_VERSIONS = 4096
const MAX_VERSION = 2 ** 32 - 1
/** Blocks are numbered in 32 bits. */
const MAX_BLOCKS = 2 ** 32
/** Room for any argv and env that execve would take. */
const ARGUMENTS = { items: 4096, length: 128 * 1024 }
const MAX_LABELS = 1024
const ISO_DATE = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/
const DIGEST = /^sha256:[0-9a-f]{64}$/

/**
 * The manifest as JSON, ready to be stored as one block.
 *
 * @throws ContainerError `BAD_MANIFEST` for one that {@link decodeManifest} would refuse
 */
export function encodeManifest(manifest: Manifest): Buffer {
  const bytes = Buffer.from(`${JSON.stringify(manifest, undefined, 2)}\n`)
  decodeManifest(bytes)
  return bytes
}

/**
 * Parses and checks a manifest that may come from anyone. Fields it does not know are dropped.
 *
 * @throws ContainerError `NOT_AN_IMAGE` for anything that does not claim to be a manifest,
 *   `UNSUPPORTED_VERSION` for one of a later release, `BAD_MANIFEST` for one that contradicts itself
 */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const fields = parse(bytes)
  checkFormat(fields)
  const manifest: Manifest = {
    format: MANIFEST_FORMAT,
    formatVersion: MANIFEST_FORMAT_VERSION,
    version: fields.count('version', MAX_VERSION),
    name: fields.line('name', MAX_NAME_LENGTH),
    ...optionalLine(fields, 'description', MAX_TEXT_LENGTH),
    arch: fields.line('arch', MAX_NAME_LENGTH),
    os: operatingSystem(fields),
    created: date(fields),
    source: { kind: fields.object('source').line('kind', MAX_NAME_LENGTH) },
    start: startCommand(fields.object('start')),
    files: fields.count('files', MAX_ENTRIES),
    entries: fields.count('entries', MAX_ENTRIES),
    bytes: fields.count('bytes'),
    storedBytes: fields.count('storedBytes'),
    chunks: fields.count('chunks', MAX_CHUNKS),
    index: differencePart(fields.object('index')),
    chunkHashes: differencePart(fields.object('chunkHashes')),
    ...(fields.has('profile') ? { profile: part(fields.object('profile')) } : {}),
    versions: fields.objects('versions', MAX_VERSIONS).map(versionRecord)
  }
  checkSums(manifest)
  return manifest
}

function parse(bytes: Uint8Array): JsonFields {
  if (bytes.length > MAX_MANIFEST_BYTES) throw notAnImage()
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (error) {
    throw notAnImage(error)
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw notAnImage()
  return new JsonFields(value)
}

function checkFormat(fields: JsonFields): void {
  if (fields.get('format') !== MANIFEST_FORMAT) throw notAnImage()
  const version = fields.count('formatVersion')
  if (version === MANIFEST_FORMAT_VERSION) return
  if (version < 1) throw badManifest(`format version ${version} does not exist`)
  throw new ContainerError('UNSUPPORTED_VERSION', `the image has format version ${version}`, {
    hint: `this release reads version ${MANIFEST_FORMAT_VERSION}; upgrade dat-container`
  })
}

function notAnImage(cause?: unknown): ContainerError {
  return new ContainerError('NOT_AN_IMAGE', 'this drive holds no container image', {
    hint: 'its /container.json is something else; check the link',
    ...(cause === undefined ? {} : { cause })
  })
}

function operatingSystem(fields: JsonFields): 'linux' {
  const os = fields.line('os', MAX_NAME_LENGTH)
  if (os !== 'linux') throw badManifest('it is an image of another system than Linux')
  return os
}

function date(fields: JsonFields): string {
  const text = fields.line('created', MAX_NAME_LENGTH)
  if (!ISO_DATE.test(text) || Number.isNaN(Date.parse(text))) {
    throw badManifest('created is not an ISO 8601 time in UTC')
  }
  return text
}

function optionalLine<K extends string>(
  fields: JsonFields,
  name: K,
  limit: number
): Partial<Record<K, string>> {
  if (!fields.has(name)) return {}
  return { [name]: fields.line(name, limit) } as Partial<Record<K, string>>
}

function optionalTexts<K extends string>(
  fields: JsonFields,
  name: K
): Partial<Record<K, string[]>> {
  if (!fields.has(name)) return {}
  return { [name]: fields.texts(name, ARGUMENTS) } as Partial<Record<K, string[]>>
}

function startCommand(fields: JsonFields): StartCommand {
  const mode = fields.get('mode')
  if (mode !== 'boot' && mode !== 'process') throw badManifest('start.mode is unknown')
  const start: StartCommand = {
    mode,
    ...optionalTexts(fields, 'argv'),
    ...optionalCount(fields, 'entrypoint', ARGUMENTS.items),
    ...optionalTexts(fields, 'env'),
    ...optionalLine(fields, 'cwd', MAX_TEXT_LENGTH),
    ...optionalLine(fields, 'user', MAX_NAME_LENGTH),
    ...optionalLine(fields, 'stopSignal', MAX_NAME_LENGTH),
    ...optionalTexts(fields, 'exposedPorts'),
    ...optionalTexts(fields, 'volumes'),
    ...(fields.has('healthcheck')
      ? { healthcheck: healthcheck(fields.object('healthcheck')) }
      : {}),
    ...(fields.has('labels') ? { labels: labels(fields.object('labels')) } : {})
  }
  if ((start.entrypoint ?? 0) > (start.argv?.length ?? 0)) {
    throw badManifest('start.entrypoint is longer than start.argv')
  }
  if (start.argv?.length === 0) throw badManifest('start.argv is empty')
  if (start.env?.some((line) => line.indexOf('=') < 1)) {
    throw badManifest('start.env contains a line that sets nothing')
  }
  if (start.cwd !== undefined && !start.cwd.startsWith('/')) {
    throw badManifest('start.cwd is not an absolute path')
  }
  return start
}

function healthcheck(fields: JsonFields): Healthcheck {
  const test = fields.texts('test', ARGUMENTS)
  if (test.length === 0) throw badManifest('start.healthcheck.test is empty')
  return {
    test,
    ...optionalCount(fields, 'intervalMs'),
    ...optionalCount(fields, 'timeoutMs'),
    ...optionalCount(fields, 'startPeriodMs'),
    ...optionalCount(fields, 'retries')
  }
}

function labels(fields: JsonFields): Record<string, string> {
  const entries = fields.names(MAX_LABELS).map((name) => {
    if (name.length > MAX_TEXT_LENGTH) throw badManifest('start.labels has a name that is too long')
    return [name, fields.text(name, ARGUMENTS.length)]
  })
  return Object.fromEntries(entries) as Record<string, string>
}

function optionalCount<K extends string>(
  fields: JsonFields,
  name: K,
  limit?: number
): Partial<Record<K, number>> {
  if (!fields.has(name)) return {}
  return { [name]: fields.count(name, limit) } as Partial<Record<K, number>>
}

function part(fields: JsonFields): PartPointer {
  const pointer: PartPointer = {
    block: fields.count('block', MAX_BLOCKS),
    blocks: fields.count('blocks', MAX_BLOCKS),
    storedBytes: fields.count('storedBytes'),
    bytes: fields.count('bytes'),
    digest: fields.line('digest', MAX_NAME_LENGTH)
  }
  if (!DIGEST.test(pointer.digest)) throw badManifest('a digest is not sha256')
  if (pointer.blocks < 1 || pointer.storedBytes > pointer.blocks * CHUNK_BYTES) {
    throw badManifest('a part does not fit its blocks')
  }
  return pointer
}

function differencePart(fields: JsonFields): DifferencePointer {
  const pointer = part(fields)
  return fields.has('base') ? { ...pointer, base: part(fields.object('base')) } : pointer
}

function versionRecord(fields: JsonFields): VersionRecord {
  return {
    version: fields.count('version', MAX_VERSION),
    blocks: fields.count('blocks', MAX_BLOCKS),
    created: date(fields),
    ...optionalLine(fields, 'message', MAX_TEXT_LENGTH),
    files: fields.count('files', MAX_ENTRIES),
    bytes: fields.count('bytes'),
    newBytes: fields.count('newBytes')
  }
}

function checkSums(manifest: Manifest): void {
  const { versions, version, files, entries, chunks, storedBytes } = manifest
  let previous: VersionRecord | undefined
  for (const record of versions) {
    const isNext = previous === undefined || record.version > previous.version
    if (!isNext || record.blocks <= (previous?.blocks ?? 0)) {
      throw badManifest('its versions are out of order')
    }
    previous = record
  }
  if (previous?.version !== version || version < 1) {
    throw badManifest('its version is not the last of its versions')
  }
  const { index, chunkHashes, profile } = manifest
  for (const pointer of [index, index.base, chunkHashes, chunkHashes.base, profile]) {
    if (pointer !== undefined && pointer.block + pointer.blocks >= previous.blocks) {
      throw badManifest('a part lies beyond the end of its version')
    }
  }
  if (files > entries) throw badManifest('it has more files than names')
  if (storedBytes > chunks * CHUNK_BYTES) throw badManifest('its chunks are larger than chunks')
}
