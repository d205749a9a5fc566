import type { TarEntry } from '../tar/tar-reader.ts'
import type { TarWatch } from '../tar/tar-source.ts'
import { memberKind, memberName } from './archive-names.ts'
import { MAX_JSON_BYTES } from './blob.ts'
import { isDockerManifestText } from './docker-archive.ts'
import { AS_FILES, isSkopeos } from './find-image.ts'
import { badImage } from './image-error.ts'
import { isSkopeoVersion, MAX_VERSION_BYTES, VERSION_FILE } from './skopeo-directory.ts'

const MARKERS = new Set(['oci-layout', 'index.json', 'repositories'])

/**
 * Watches the entries of an archive that is published as files while it streams by, and refuses what
 * turns out to be an image: it would be published as something else than what is meant.
 */
export class ImageWatch implements TarWatch {
  #hasBlob = false
  #hasMarker = false

  wants({ path, ...entry }: TarEntry): boolean {
    if (entry.kind !== 'inode' || entry.content === undefined) return false
    const name = memberName(path)
    if (name === undefined) return false
    this.#hasBlob ||= memberKind(name) === 'blob'
    this.#hasMarker ||= MARKERS.has(name)
    if (this.#hasBlob && this.#hasMarker) throw isImage()
    const { size } = entry.content
    if (name === VERSION_FILE) return size <= MAX_VERSION_BYTES
    return name === 'manifest.json' && size <= MAX_JSON_BYTES
  }

  take(content: Buffer): void {
    if (isDockerManifestText(content)) throw isImage()
    if (isSkopeoVersion(content)) throw isSkopeos()
  }
}

function isImage(): Error {
  return badImage(
    'the archive contains a container image among other files, which is detected too late in a pipe or a compressed file',
    `write it to an uncompressed file and share that, or ${AS_FILES}`
  )
}
