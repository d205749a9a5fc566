import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setXattr } from './planted-tree.ts'

/** cap_net_raw+ep, as ping has it. */
const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex')
const CONFIG = [
  ['--config.entrypoint=/bin/sh', '--config.entrypoint=-c', '--config.env=GREETING=hello there'],
  ['--config.cmd=pwd; id -u; id -g; echo $GREETING'],
  ['--config.env=PATH=/usr/bin:/bin', '--config.workingdir=/srv', '--config.user=web'],
  ['--config.exposedports=80/tcp', '--config.volume=/data', '--config.label=who=me'],
  ['--config.stopsignal=QUIT', '--architecture=amd64', '--os=linux']
].flat()

/** Runs a program of an image's world; its complaints are the error. */
export function tool(program: string, ...args: string[]): string {
  return execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'] }).toString()
}

/**
 * An OCI layout with the image `app`, which umoci made in three layers of changes: of the second and
 * third, each replaces, deletes, links and adds.
 *
 * @param base files that all of them have, e.g. programs to run
 * @returns the layout
 */
export function layeredImage(directory: string, base: (root: string) => void = () => {}): string {
  const layout = join(directory, 'layout')
  tool('umoci', 'init', '--layout', layout)
  tool('umoci', 'new', '--image', `${layout}:app`)
  addLayer(layout, 'first', (root) => {
    base(root)
    plantFirst(root)
  })
  addLayer(layout, 'second', plantSecond)
  addLayer(layout, 'third', plantThird)
  tool('umoci', 'config', '--image', `${layout}:app`, ...CONFIG)
  tool('umoci', 'gc', '--layout', layout)
  return layout
}

/** What umoci makes of an image of a layout. */
export function unpack(layout: string, bundle: string, tag = 'app'): string {
  tool('umoci', 'unpack', '--image', `${layout}:${tag}`, bundle)
  return join(bundle, 'rootfs')
}

function addLayer(layout: string, what: string, change: (root: string) => void): void {
  const bundle = mkdtempSync(join(dirname(layout), 'bundle-'))
  const root = unpack(layout, bundle)
  change(root)
  tool('umoci', 'repack', '--image', `${layout}:app`, '--history.comment', what, bundle)
  rmSync(bundle, { recursive: true })
}

function plantFirst(root: string): void {
  write(root, 'etc/passwd', 'root:x:0:0:root:/root:/bin/sh\nweb:x:1234:4321::/srv:/bin/sh\n')
  write(root, 'etc/group', 'root:x:0:\nweb:x:4321:\n')
  write(root, 'srv/file', 'where it starts')
  write(root, 'etc/replaced', 'of the first layer')
  write(root, 'etc/deleted', 'deleted by the second')
  write(root, 'etc/kept', 'kept')
  write(root, 'dir/one', '1')
  write(root, 'dir/two/three', '3')
  write(root, 'become-a-file/inside', 'x')
  write(root, 'become-a-directory', 'x')
  write(root, 'links/first', 'shared content')
  linkSync(join(root, 'links/first'), join(root, 'links/second'))
  write(root, 'large', Buffer.alloc(300_000, 'large file '))
  write(root, 'usr/bin/ping', 'not really')
  setXattr(join(root, 'usr/bin/ping'), 'security.capability', CAPABILITY)
  setXattr(join(root, 'etc/kept'), 'user.note', Buffer.from('a\0b'))
  mkdirSync(join(root, 'usr/lib'), { recursive: true })
  tool('ln', '-sfn', 'usr/lib', join(root, 'lib'))
  tool('mkfifo', join(root, 'fifo'))
  tool('mknod', join(root, 'null'), 'c', '1', '3')
  write(root, 'etc/sudoers', 'setuid', 0o4755)
  tool('chown', '1234:4321', join(root, 'links/first'))
  write(root, 'naïve name', 'UTF-8')
  utimesSync(join(root, 'etc/kept'), 1_000_000_000, 1_000_000_000.123)
}

function plantSecond(root: string): void {
  write(root, 'etc/replaced', 'of the second layer')
  rmSync(join(root, 'etc/deleted'))
  rmSync(join(root, 'dir'), { recursive: true })
  write(root, 'dir/new', 'in a directory of the same name')
  rmSync(join(root, 'become-a-file'), { recursive: true })
  write(root, 'become-a-file', 'now one')
  rmSync(join(root, 'become-a-directory'))
  write(root, 'become-a-directory/file', 'now one')
  write(root, 'usr/lib/library', 'behind a symlink')
}

function plantThird(root: string): void {
  linkSync(join(root, 'links/first'), join(root, 'links/third'))
  rmSync(join(root, 'links/second'))
  write(root, 'etc/deleted', 'there again')
  write(root, 'large', Buffer.alloc(200_000, 'shorter '))
}

function write(root: string, path: string, content: string | Buffer, mode = 0o644): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), content)
  tool('chmod', mode.toString(8), join(root, path))
}

/** Writes a blob of any content into a layout; returns a descriptor of it. */
export function putBlob(layout: string, mediaType: string, content: string | Buffer) {
  const digest = createHash('sha256').update(content).digest('hex')
  writeFileSync(join(layout, 'blobs/sha256', digest), content)
  return { mediaType, digest: `sha256:${digest}`, size: Buffer.byteLength(content) }
}

/** A layer as it is stored, and the archive that the config says it holds. */
export interface HandMadeLayer {
  readonly content: Buffer
  readonly archive: Buffer
  /** @default gzip */
  readonly mediaType?: string
}

const OCI = 'application/vnd.oci.image'

/** A layout of an image that no program would make. */
export function handMadeImage(
  layout: string,
  layers: readonly HandMadeLayer[],
  config: object = {}
): string {
  mkdirSync(join(layout, 'blobs/sha256'), { recursive: true })
  writeFileSync(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  const digest = (bytes: Buffer): string =>
    `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  const diffIds = layers.map(({ archive }) => digest(archive))
  const base = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } }
  const manifest = {
    schemaVersion: 2,
    config: putBlob(layout, `${OCI}.config.v1+json`, JSON.stringify({ ...base, ...config })),
    layers: layers.map(({ content, mediaType = `${OCI}.layer.v1.tar+gzip` }) =>
      putBlob(layout, mediaType, content)
    )
  }
  const descriptor = putBlob(layout, `${OCI}.manifest.v1+json`, JSON.stringify(manifest))
  writeIndex(layout, JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }))
  return layout
}

/** A layout of an image whose layers are these archives, as they are. */
export function plainImage(layout: string, ...archives: Buffer[]): string {
  const mediaType = `${OCI}.layer.v1.tar`
  return handMadeImage(
    layout,
    archives.map((archive) => ({ content: archive, archive, mediaType }))
  )
}

/** Gives the one image of a layout a tag, as umoci wants one. */
export function labelImage(layout: string, tag: string): void {
  const text = readFileSync(join(layout, 'index.json'), 'utf8')
  const { manifests } = JSON.parse(text) as { manifests: [object] }
  const annotations = { 'org.opencontainers.image.ref.name': tag }
  const labelled = [{ ...manifests[0], annotations }]
  writeIndex(layout, JSON.stringify({ schemaVersion: 2, manifests: labelled }))
}

export function writeIndex(layout: string, text: string): void {
  writeFileSync(join(layout, 'index.json'), text)
}
