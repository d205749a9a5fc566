/** What the name of a member says of the archive that holds it. */
export type MemberKind =
  /** A file that only images have, named by a digest. */
  | 'blob'
  /** A file or directory that images have. */
  | 'known'
  | 'other'

const HEX = '[0-9a-f]{64}'
const BLOB = new RegExp(
  `^(?:blobs/sha\\d{3}/[0-9a-f]{64,128}|(?:sha256:)?${HEX}(?:\\.json|\\.tar(?:\\.gz)?)?|${HEX}/(?:layer\\.tar|json|VERSION))$`
)
const KNOWN = new RegExp(
  `^(?:|blobs(?:/sha\\d{3})?|oci-layout|repositories|[\\w.:-]+\\.json|[\\w.:-]+\\.tar(?:\\.gz)?|${HEX})$`
)
const MAX_NAME_BYTES = 512

/** Names that a member of an image may have to be told by, without the root; undefined where it is too long. */
export function memberName(path: Buffer): string | undefined {
  if (path.length > MAX_NAME_BYTES) return undefined
  const name = path
    .toString()
    .replace(/^(?:\.?\/)+/, '')
    .replace(/\/$/, '')
  return name === '.' ? '' : name
}

export function memberKind(name: string): MemberKind {
  if (BLOB.test(name)) return 'blob'
  return KNOWN.test(name) ? 'known' : 'other'
}

/** A name as it is seen from the directory at the top that holds it; undefined for one at the top. */
export function belowTop(name: string): string | undefined {
  const slash = name.indexOf('/')
  return slash === -1 ? undefined : name.slice(slash + 1)
}

/** Whether a name, at the top or one directory below it, is one that hardly anything but an image has. */
export function tellsOfImage(name: string): boolean {
  const below = belowTop(name)
  return [name, ...(below === undefined ? [] : [below])].some(
    (seen) => seen === 'oci-layout' || memberKind(seen) === 'blob'
  )
}
