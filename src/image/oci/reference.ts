import { stat } from 'node:fs/promises'
import { ContainerError } from '../../core/errors.ts'

/** Where a container image is, as skopeo and podman write it. */
export type OciReference =
  | { readonly transport: 'docker'; readonly name: string }
  | {
      readonly transport: 'oci' | 'oci-archive' | 'docker-archive'
      readonly path: string
      readonly tag?: string
    }

const TRANSPORT = /^(docker|oci|oci-archive|docker-archive):(.*)$/s

/** Whether a source is a reference and no path; `./oci:x` is a path. */
export function isOciReference(source: string): boolean {
  return TRANSPORT.test(source)
}

/**
 * Reads `docker://NAME`, `oci:DIR[:TAG]`, `oci://DIR`, `oci-archive:FILE[:TAG]` and
 * `docker-archive:FILE[:NAME]`.
 *
 * @throws ContainerError `USAGE`; `NOT_FOUND` where there is no such path
 */
export async function parseOciReference(source: string): Promise<OciReference> {
  const [, transport, rest = ''] = TRANSPORT.exec(source) ?? []
  if (transport === 'docker') {
    const name = rest.replace(/^\/\//, '')
    // Passed to a program; and what starts a name is never a sign.
    if (rest.startsWith('//') && /^[\w[][^\s]*$/.test(name)) return { transport, name }
    throw new ContainerError('USAGE', `not an image: ${JSON.stringify(source)}`, {
      hint: 'write it as docker://debian:12'
    })
  }
  const place = await splitPath(rest.replace(/^\/\//, ''))
  return { transport: transport as 'oci', ...place }
}

/** A path may have colons, and so may a tag: the first prefix that is there is the path. */
async function splitPath(text: string): Promise<{ path: string; tag?: string }> {
  const colons = [...text.matchAll(/:/g)].map(({ index }) => index)
  for (const end of [...colons, text.length]) {
    const path = text.slice(0, end)
    if (path === '' || (await stat(path).catch(() => undefined)) === undefined) continue
    return { path, ...(end + 1 >= text.length ? {} : { tag: text.slice(end + 1) }) }
  }
  throw new ContainerError('NOT_FOUND', `there is no ${text}`, {
    hint: 'give the path of an image, and after a colon its tag where it holds several'
  })
}
