import { constants } from 'node:os'
import { ContainerError } from '../image/errors.ts'
import type { Tree } from '../image/tree.ts'
import { BLOCK_BYTES } from './data-layout.ts'
import { fuseErrno } from './errno.ts'
import type { FileReader } from './file-reader.ts'
import { seekFile } from './file-seek.ts'
import { answerInit, MAX_READ_BYTES, type InitOffer } from './fuse-init.ts'
import { INIT_FLAG, MAJOR_VERSION, OPEN_FLAG, OUT_HEADER_BYTES, SEEK } from './fuse-protocol.ts'
import { errorAnswer, FuseReply, writeHeader } from './fuse-reply.ts'
import {
  parseRequest,
  type FuseRequest,
  type ReadBody,
  type RequestHeader,
  type SeekBody
} from './fuse-request.ts'
import { listDirectory } from './list-directory.ts'
import { inodeOf, nodeAttributes } from './node-attributes.ts'
import { PendingReads } from './pending-reads.ts'
import { visibleXattrs } from './visible-xattrs.ts'

const { ENOENT, ENOTDIR, EISDIR, EINVAL, EINTR, ENODATA, ENXIO, ERANGE, ENOSYS, EPROTO } =
  constants.errno
const MAX_NAME_BYTES = 255
const DOT = Buffer.from('.')
const DOT_DOT = Buffer.from('..')
const NUL = Buffer.alloc(1)

type Send = (answer: Buffer) => void
/** Those about one node. */
type NodeRequest = Exclude<
  FuseRequest,
  { kind: 'init' | 'interrupt' | 'forget' | 'end' | 'malformed' | 'unknown' | 'statfs' }
>
/** 0 for what was put into the reply, a negative errno, or that there is no answer (yet). */
type Answer = number | 'none'

/**
 * Answers the kernel's requests about a tree. Node ids are the tree's inode numbers and nothing ever
 * changes, so nothing is remembered of what the kernel knows or has open: FORGET and RELEASE have nothing
 * to do, and a node that the kernel forgot is found again.
 */
export class TreeServer {
  /** Resolves when kernel and server agree on how to talk; rejects with `MOUNT_FAILED`. */
  readonly agreed: Promise<void>
  readonly #tree: Tree
  readonly #files: FileReader
  readonly #reply = new FuseReply()
  readonly #pending = new PendingReads()
  #settle: { resolve: () => void; reject: (error: ContainerError) => void } | undefined
  /** Flags of INIT that both sides know. */
  #flags = 0
  #contentBytes: number | undefined

  constructor(tree: Tree, files: FileReader) {
    this.#tree = tree
    this.#files = files
    this.agreed = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
    })
    this.agreed.catch(() => {})
  }

  /** Answers one request, now or later; malformed ones with EINVAL. */
  handle(bytes: Buffer, send: Send): void {
    const request = parseRequest(bytes)
    if (request === undefined) return
    this.#reply.clear()
    const answer = this.#answer(request, send)
    if (answer !== 'none') send(this.#reply.finish(request.unique, answer))
  }

  #answer(request: FuseRequest, send: Send): Answer {
    switch (request.kind) {
      case 'init':
        return this.#init(request)
      case 'interrupt':
        void this.#pending.interrupt(request.target)
        return 'none'
      case 'forget':
        return 'none'
      case 'end':
        return 0
      case 'malformed':
        return -EINVAL
      case 'unknown':
        // The kernel does not ask again for what it gets this for.
        return -ENOSYS
      case 'statfs':
        return this.#statfs()
      case 'lookup':
      case 'getattr':
      case 'readlink':
      case 'open':
      case 'opendir':
      case 'read':
      case 'readdir':
      case 'readdirplus':
      case 'getxattr':
      case 'listxattr':
      case 'lseek':
        break
    }
    const inode = inodeOf(this.#tree, request.node)
    // Handles of other filesystems come here too, by open_by_handle_at(2).
    return inode === undefined ? -ENOENT : this.#answerFor(inode, request, send)
  }

  #answerFor(inode: number, request: NodeRequest, send: Send): Answer {
    const tree = this.#tree
    const reply = this.#reply
    switch (request.kind) {
      case 'lookup':
        return this.#lookup(inode, request.name)
      case 'getattr':
        reply.putAttributes(nodeAttributes(tree, inode))
        return 0
      case 'readlink':
        if (tree.type(inode) !== 'symlink') return -EINVAL
        reply.putBytes(tree.symlinkTarget(inode))
        return 0
      case 'open':
        return this.#open(INIT_FLAG.noOpenSupport, OPEN_FLAG.keepCache)
      case 'opendir': {
        const flags = OPEN_FLAG.keepCache | OPEN_FLAG.cacheDirectory
        return this.#open(INIT_FLAG.noOpendirSupport, flags)
      }
      case 'read':
        return this.#read(inode, request, send)
      case 'readdir':
      case 'readdirplus': {
        if (tree.type(inode) !== 'directory') return -ENOTDIR
        const isPlus = request.kind === 'readdirplus'
        listDirectory(tree, inode, request.offset, request.size, isPlus, reply)
        return 0
      }
      case 'getxattr': {
        const found = visibleXattrs(tree, inode).find(({ name }) => request.name.equals(name))
        return found === undefined ? -ENODATA : this.#xattr(found.value, request.size)
      }
      case 'listxattr': {
        const names = visibleXattrs(tree, inode).flatMap(({ name }) => [name, NUL])
        return this.#xattr(Buffer.concat(names), request.size)
      }
      case 'lseek':
        break
    }
    return this.#seek(inode, request)
  }

  #init(offer: InitOffer): Answer {
    const answer = answerInit(offer)
    if (answer === undefined) {
      const version = `${offer.major}.${offer.minor}`
      const message = `this kernel speaks version ${version} of the FUSE protocol`
      const hint = 'run Linux 4.18 or later'
      this.#settle?.reject(new ContainerError('MOUNT_FAILED', message, { hint }))
      return -EPROTO
    }
    this.#reply.putInit(answer)
    if (offer.major > MAJOR_VERSION) return 0
    this.#flags = answer.flags
    this.#settle?.resolve()
    return 0
  }

  #lookup(directory: number, name: Buffer): Answer {
    const tree = this.#tree
    // File handles are turned into paths by these; nobody else asks for them.
    if (name.equals(DOT)) {
      this.#reply.putEntry(nodeAttributes(tree, directory))
    } else if (tree.type(directory) !== 'directory') {
      return -ENOTDIR
    } else {
      const inode = name.equals(DOT_DOT) ? tree.parent(directory) : tree.lookup(directory, name)
      this.#reply.putEntry(inode === undefined ? undefined : nodeAttributes(tree, inode))
    }
    return 0
  }

  /** ENOSYS where the kernel takes it for "open everything, and keep what was read, without asking". */
  #open(withoutAsking: number, openFlags: number): Answer {
    if ((this.#flags & withoutAsking) !== 0) return -ENOSYS
    this.#reply.putOpened(openFlags)
    return 0
  }

  #read(inode: number, request: RequestHeader & ReadBody, send: Send): Answer {
    const { offset, size } = request
    const type = this.#tree.type(inode)
    if (type !== 'file') return type === 'directory' ? -EISDIR : -EINVAL
    // Less than what was asked for would tell the kernel that the file ends there.
    if (size > MAX_READ_BYTES) return -EINVAL
    const count = Math.max(0, Math.min(size, this.#tree.size(inode) - offset))
    void this.#sendContent(inode, request, count, send)
    return 'none'
  }

  async #sendContent(
    inode: number,
    { unique, pid, offset }: RequestHeader & ReadBody,
    count: number,
    send: Send
  ): Promise<void> {
    const answer = Buffer.allocUnsafeSlow(OUT_HEADER_BYTES + count)
    // Not in `answer`: content may still be on its way into that.
    const fail = (error: number): void => send(errorAnswer(unique, error))
    this.#pending.add(unique, pid, () => fail(-EINTR))
    try {
      await this.#files.read(inode, offset, answer.subarray(OUT_HEADER_BYTES))
    } catch (error) {
      if (this.#pending.remove(unique)) fail(fuseErrno(error))
      return
    }
    if (!this.#pending.remove(unique)) return
    writeHeader(answer, unique, answer.length, 0)
    send(answer)
  }

  /** A size of 0 asks for the size; one too small wants ERANGE. */
  #xattr(value: Uint8Array, size: number): Answer {
    if (size === 0) this.#reply.putXattrSize(value.length)
    else if (value.length > size) return -ERANGE
    else this.#reply.putBytes(value)
    return 0
  }

  #seek(inode: number, { offset, whence }: SeekBody): Answer {
    if (whence !== SEEK.data && whence !== SEEK.hole) return -EINVAL
    if (this.#tree.type(inode) !== 'file') return -EINVAL
    const what = whence === SEEK.data ? 'data' : 'hole'
    const found = seekFile(this.#tree.extents(inode), this.#tree.size(inode), offset, what)
    if (found === undefined) return -ENXIO
    this.#reply.putUInt64(found)
    return 0
  }

  #statfs(): Answer {
    this.#contentBytes ??= contentBytes(this.#tree)
    this.#reply.putFilesystemSize({
      blocks: Math.ceil(this.#contentBytes / BLOCK_BYTES),
      files: this.#tree.inodeCount,
      blockBytes: BLOCK_BYTES,
      maxNameBytes: MAX_NAME_BYTES
    })
    return 0
  }
}

function contentBytes(tree: Tree): number {
  let bytes = 0
  for (let inode = 0; inode < tree.inodeCount; inode++) {
    if (tree.type(inode) === 'file') bytes += tree.size(inode)
  }
  return bytes
}
