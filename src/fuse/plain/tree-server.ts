import { constants } from 'node:os'
import type { Tree } from '../../image/tree/tree.ts'
import { BLOCK_BYTES } from '../content/data-layout.ts'
import type { FileReader } from '../content/file-reader.ts'
import { seekFile } from '../content/file-seek.ts'
import { MAX_READ_BYTES } from '../protocol/fuse-init.ts'
import { INIT_FLAG, OPEN_FLAG, SEEK } from '../protocol/fuse-protocol.ts'
import type { ReadBody, RequestHeader, SeekBody, XattrBody } from '../protocol/fuse-request.ts'
import { listDirectory } from './list-directory.ts'
import { inodeOf, nodeAttributes } from './node-attributes.ts'
import {
  RequestServer,
  type Answer,
  type ContentRequest,
  type Send
} from '../protocol/request-server.ts'
import { visibleXattrs } from '../content/visible-xattrs.ts'

const { ENOENT, ENOTDIR, EISDIR, EINVAL, ENODATA, ENXIO, ERANGE, ENOSYS, EOPNOTSUPP } =
  constants.errno
const MAX_NAME_BYTES = 255
const DOT = Buffer.from('.')
const DOT_DOT = Buffer.from('..')
const NUL = Buffer.alloc(1)
/** Which `ls -l` asks of every file for, unless it hears that this file system has none. */
const SELINUX = 'security.selinux'

/** Those about one node. */
type NodeRequest = Exclude<ContentRequest, { kind: 'statfs' }>

/**
 * Answers the kernel's requests about a tree. Node ids are the tree's inode numbers and nothing ever
 * changes, so that a node that the kernel forgot is found again.
 */
export class TreeServer extends RequestServer {
  readonly #tree: Tree
  readonly #files: FileReader
  #contentBytes: number | undefined
  #xattrNames: ReadonlySet<string> | undefined

  constructor(tree: Tree, files: FileReader) {
    super()
    this.#tree = tree
    this.#files = files
  }

  protected answer(request: ContentRequest, send: Send): Answer {
    if (request.kind === 'statfs') return this.#statfs()
    const inode = inodeOf(this.#tree, request.node)
    // Handles of other filesystems come here too, by open_by_handle_at(2).
    return inode === undefined ? -ENOENT : this.#answerFor(inode, request, send)
  }

  #answerFor(inode: number, request: NodeRequest, send: Send): Answer {
    const tree = this.#tree
    const { reply } = this
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
      case 'getxattr':
        return this.#getXattr(inode, request)
      case 'listxattr': {
        const names = visibleXattrs(tree, inode).flatMap(({ name }) => [name, NUL])
        return this.#xattr(Buffer.concat(names), request.size)
      }
      case 'lseek':
        break
    }
    return this.#seek(inode, request)
  }

  #lookup(directory: number, name: Buffer): Answer {
    const tree = this.#tree
    // File handles are turned into paths by these; nobody else asks for them.
    if (name.equals(DOT)) {
      this.reply.putEntry(nodeAttributes(tree, directory))
    } else if (tree.type(directory) !== 'directory') {
      return -ENOTDIR
    } else {
      const inode = name.equals(DOT_DOT) ? tree.parent(directory) : tree.lookup(directory, name)
      this.reply.putEntry(inode === undefined ? undefined : nodeAttributes(tree, inode))
    }
    return 0
  }

  /** ENOSYS where the kernel takes it for "open everything, and keep what was read, without asking". */
  #open(withoutAsking: number, openFlags: number): Answer {
    if (this.agreement.has(withoutAsking)) return -ENOSYS
    this.reply.putOpened(openFlags)
    return 0
  }

  #read(inode: number, request: RequestHeader & ReadBody, send: Send): Answer {
    const { offset, size } = request
    const type = this.#tree.type(inode)
    if (type !== 'file') return type === 'directory' ? -EISDIR : -EINVAL
    // Less than what was asked for would tell the kernel that the file ends there.
    if (size > MAX_READ_BYTES) return -EINVAL
    const count = Math.max(0, Math.min(size, this.#tree.size(inode) - offset))
    const fill = (target: Uint8Array): Promise<void> => this.#files.read(inode, offset, target)
    void this.content.answer(request, count, fill, send)
    return 'none'
  }

  /** A size of 0 asks for the size; one too small wants ERANGE. */
  #xattr(value: Uint8Array, size: number): Answer {
    if (size === 0) this.reply.putXattrSize(value.length)
    else if (value.length > size) return -ERANGE
    else this.reply.putBytes(value)
    return 0
  }

  #seek(inode: number, { offset, whence }: SeekBody): Answer {
    if (whence !== SEEK.data && whence !== SEEK.hole) return -EINVAL
    if (this.#tree.type(inode) !== 'file') return -EINVAL
    const what = whence === SEEK.data ? 'data' : 'hole'
    const found = seekFile(this.#tree.extents(inode), this.#tree.size(inode), offset, what)
    if (found === undefined) return -ENXIO
    this.reply.putUInt64(found)
    return 0
  }

  #getXattr(inode: number, { name, size }: XattrBody): Answer {
    this.#xattrNames ??= xattrNames(this.#tree)
    // The kernel asks for none of this mount again.
    if (this.#xattrNames.size === 0) return -ENOSYS
    const text = name.toString('latin1')
    // For other names, such as capabilities, the caller would take this for an error.
    if (!this.#xattrNames.has(text)) return text === SELINUX ? -EOPNOTSUPP : -ENODATA
    const found = visibleXattrs(this.#tree, inode).find((xattr) => name.equals(xattr.name))
    return found === undefined ? -ENODATA : this.#xattr(found.value, size)
  }

  #statfs(): Answer {
    this.#contentBytes ??= contentBytes(this.#tree)
    this.reply.putFilesystemSize({
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

/** Names of the attributes that any inode has, one character a byte. */
function xattrNames(tree: Tree): Set<string> {
  const names = new Set<string>()
  for (let inode = 0; inode < tree.inodeCount; inode++) {
    for (const { name } of visibleXattrs(tree, inode)) {
      names.add(Buffer.from(name).toString('latin1'))
    }
  }
  return names
}
