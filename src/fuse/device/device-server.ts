import { constants } from 'node:os'
import { BLOCK_BYTES } from '../content/data-layout.ts'
import { MAX_READ_BYTES } from '../protocol/fuse-init.ts'
import { INIT_FLAG, OPEN_FLAG, ROOT_NODE } from '../protocol/fuse-protocol.ts'
import type { NodeAttributes } from '../protocol/fuse-reply.ts'
import type { ListBody, ReadBody, RequestHeader } from '../protocol/fuse-request.ts'
import {
  RequestServer,
  type Answer,
  type ContentRequest,
  type Send
} from '../protocol/request-server.ts'

const { ENOENT, ENOTDIR, EISDIR, EINVAL, ENOSYS } = constants.errno
const FILE_NODE = 2
const DIRECTORY_MODE = 0o40_500
const FILE_MODE = 0o100_400

/** Puts the device's bytes from `offset` on into `target`. */
export type FillDevice = (offset: number, target: Uint8Array) => Promise<void>

/** Answers the kernel's requests about a directory with one file in it. */
export class DeviceServer extends RequestServer {
  readonly #name: Buffer
  readonly #bytes: number
  readonly #fill: FillDevice

  /** @param bytes of the file `name` */
  constructor(name: string, bytes: number, fill: FillDevice) {
    super()
    this.#name = Buffer.from(name)
    this.#bytes = bytes
    this.#fill = fill
  }

  protected answer(request: ContentRequest, send: Send): Answer {
    const { reply } = this
    const isRoot = request.node === ROOT_NODE
    switch (request.kind) {
      case 'lookup':
        if (!isRoot) return -ENOTDIR
        reply.putEntry(request.name.equals(this.#name) ? this.#attributes(FILE_NODE) : undefined)
        return 0
      case 'getattr':
        if (!isRoot && request.node !== FILE_NODE) return -ENOENT
        reply.putAttributes(this.#attributes(request.node))
        return 0
      case 'open':
        if (this.agreement.has(INIT_FLAG.noOpenSupport)) return -ENOSYS
        reply.putOpened(OPEN_FLAG.keepCache)
        return 0
      case 'opendir':
        reply.putOpened(OPEN_FLAG.keepCache)
        return 0
      case 'read':
        return this.#read(request, send)
      case 'readdir':
      case 'readdirplus':
        return this.#list(request)
      case 'readlink':
        return -EINVAL
      case 'statfs':
        reply.putFilesystemSize({
          blocks: this.#bytes / BLOCK_BYTES,
          files: FILE_NODE,
          blockBytes: BLOCK_BYTES,
          maxNameBytes: 255
        })
        return 0
      case 'getxattr':
      case 'listxattr':
      case 'lseek':
        break
    }
    // The kernel does without, and does not ask again.
    return -ENOSYS
  }

  #read(request: RequestHeader & ReadBody, send: Send): Answer {
    const { node, offset, size } = request
    if (node !== FILE_NODE) return node === ROOT_NODE ? -EISDIR : -ENOENT
    if (size > MAX_READ_BYTES) return -EINVAL
    const count = Math.max(0, Math.min(size, this.#bytes - offset))
    void this.content.answer(request, count, (target) => this.#fill(offset, target), send)
    return 'none'
  }

  #list({ kind, node, offset, size }: ContentRequest & ListBody): number {
    // Names only: attributes are looked up separately.
    const plus = kind === 'readdirplus' ? ('none' as const) : undefined
    if (node !== ROOT_NODE) return -ENOTDIR
    const entries = [
      { node: ROOT_NODE, name: Buffer.from('.'), mode: DIRECTORY_MODE },
      { node: ROOT_NODE, name: Buffer.from('..'), mode: DIRECTORY_MODE },
      { node: FILE_NODE, name: this.#name, mode: FILE_MODE }
    ]
    for (const [index, entry] of entries.entries()) {
      if (index < offset) continue
      if (!this.reply.putDirent(size, { ...entry, next: index + 1 }, plus)) break
    }
    return 0
  }

  #attributes(node: number): NodeAttributes {
    const isFile = node === FILE_NODE
    const size = isFile ? this.#bytes : 0
    return {
      node,
      mode: isFile ? FILE_MODE : DIRECTORY_MODE,
      uid: 0,
      gid: 0,
      size,
      blocks: size / 512,
      linkCount: 1,
      device: 0,
      blockBytes: BLOCK_BYTES,
      mtimeSeconds: 0,
      mtimeNanoseconds: 0
    }
  }
}
