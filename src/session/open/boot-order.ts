import type { StartCommand } from '../../image/format/manifest.ts'
import { resolvePath } from '../../image/tree/resolve-path.ts'
import type { Tree } from '../../image/tree/tree.ts'

/** One step of the order: files of some directories, in this order, then by name. */
interface Step {
  /** Absolute, without `*`; `ARCH` stands for every `…-linux-…` directory there is. */
  readonly directories: readonly string[]
  /** Which names in those directories. @default all */
  readonly names?: RegExp
  /** Directories within are taken whole. */
  readonly deep?: boolean
}

/** A file larger than this is left to be read as it is touched. */
const MAX_FILE_BYTES = 8 * 1024 * 1024
/** Content beyond this, stored, is no start-up any more. */
const MAX_STORED_BYTES = 32 * 1024 * 1024
const MAX_DEPTH = 4

const LIBRARIES = ['/lib/ARCH', '/usr/lib/ARCH', '/lib64', '/usr/lib64', '/lib', '/usr/lib']
const PROGRAMS = ['/usr/bin', '/bin', '/usr/sbin', '/sbin']
const LOADER: Step = { directories: LIBRARIES, names: /^ld-(linux|musl)[^/]*\.so/ }
const LIBC: Step = { directories: LIBRARIES, names: /^libc(\.musl[^/]*|-[\d.]+)?\.so/ }
const CACHE: Step = { directories: ['/etc'], names: /^ld\.so\.cache$/ }

/**
 * What an init, systemd foremost, reads until it is ready, in that order; recorded on Debian 12, and
 * named so that other distributions' places fit as well.
 */
const INIT_STEPS: readonly Step[] = [
  LOADER,
  {
    directories: ['/usr/lib/systemd', '/lib/systemd', '/usr/lib/ARCH/systemd'],
    names: /^libsystemd-(core|shared)/
  },
  CACHE,
  LIBC,
  {
    directories: LIBRARIES,
    names:
      /^lib(seccomp|pam|audit|kmod|apparmor|selinux|mount|acl|blkid|cap|crypt|gcrypt|ip4tc|lz4|crypto|zstd|lzma|m|cap-ng|pcre2-8|gpg-error)(-[\d.]+)?\.so/
  },
  {
    directories: ['/etc'],
    names: /^(os-release|hostname|fstab|passwd|group|shadow|nsswitch\.conf|inittab|localtime)$/
  },
  { directories: ['/etc/systemd'], names: /\.conf$/ },
  { directories: ['/usr/lib/systemd/system-generators', '/lib/systemd/system-generators'] },
  {
    directories: ['/usr/lib/systemd/system', '/lib/systemd/system', '/etc/systemd/system'],
    deep: true
  },
  { directories: PROGRAMS, names: /^(mount|systemd-sysusers|journalctl)$/ },
  {
    directories: ['/usr/lib/systemd', '/lib/systemd'],
    names: /^systemd-(remount-fs|journald|executor)$/
  },
  { directories: ['/usr/lib/locale/C.utf8', '/usr/lib/locale/C.UTF-8'], deep: true },
  { directories: ['/usr/lib/ARCH/gconv'], names: /^gconv-modules\.cache$/ },
  { directories: ['/usr/lib/sysusers.d', '/usr/lib/tmpfiles.d', '/usr/lib/sysctl.d'] },
  {
    directories: PROGRAMS,
    names: /^(systemd-tmpfiles|systemctl|dbus-daemon|dbus-broker.*|agetty)$/
  },
  {
    directories: ['/usr/lib/systemd', '/lib/systemd'],
    names: /^systemd-(update-utmp|user-sessions|logind|sysctl|udevd)$/
  },
  { directories: LIBRARIES, names: /^lib(dbus-1|systemd|expat)\.so/ },
  { directories: ['/usr/share/dbus-1'], deep: true }
]

/**
 * Guesses the chunks that a start reads, for an image without a recorded profile: for an init its libraries, units
 * and helpers, for a command its program, loader and C library. It goes by file names. Chunks that it misses are
 * read on demand.
 *
 * @returns chunk numbers, each once, in the order in which they should be fetched
 */
export function guessBootOrder(tree: Tree, start: StartCommand): number[] {
  const order = new BootOrder(tree)
  if (start.mode === 'boot') {
    for (const path of ['/sbin/init', '/usr/lib/systemd/systemd']) order.addPath(path)
    for (const step of INIT_STEPS) order.addStep(step)
  } else {
    const [program = ''] = start.argv ?? []
    if (program.includes('/')) order.addPath(program)
    else for (const directory of PROGRAMS) order.addPath(`${directory}/${program}`)
    for (const step of [LOADER, CACHE, LIBC]) order.addStep(step)
  }
  return [...order.chunks]
}

class BootOrder {
  /** In order of insertion. */
  readonly chunks = new Set<number>()
  readonly #tree: Tree
  readonly #seen = new Set<number>()
  readonly #arches: readonly string[]
  #storedBytes = 0

  constructor(tree: Tree) {
    this.#tree = tree
    this.#arches = this.#namesIn('/usr/lib').filter((name) => /^[\w]+-linux-\w+$/.test(name))
  }

  addPath(path: string): void {
    const inode = resolvePath(this.#tree, path)
    if (inode !== undefined) this.#addFile(inode)
  }

  addStep({ directories, names, deep = false }: Step): void {
    for (const directory of directories.flatMap((path) => this.#withArch(path))) {
      const inode = resolvePath(this.#tree, directory)
      if (inode !== undefined) this.#addDirectory(inode, directory, names, deep ? MAX_DEPTH : 0)
    }
  }

  #addDirectory(inode: number, path: string, names: RegExp | undefined, depth: number): void {
    if (this.#tree.type(inode) !== 'directory' || this.#seen.has(inode)) return
    // Whole directories are seen once; of the others another step may want other names.
    if (names === undefined) this.#seen.add(inode)
    const first = this.#tree.firstEntry(inode)
    const end = first + this.#tree.directoryEntryCount(inode)
    for (let entry = first; entry < end; entry++) {
      const name = Buffer.from(this.#tree.entryName(entry)).toString()
      if (names !== undefined && !names.test(name)) continue
      const child = this.#tree.entryInode(entry)
      const type = this.#tree.type(child)
      if (type === 'file') this.#addFile(child)
      else if (type === 'symlink') this.addPath(`${path}/${name}`)
      else if (type === 'directory' && depth > 0) {
        this.#addDirectory(child, `${path}/${name}`, names, depth - 1)
      }
    }
  }

  #addFile(inode: number): void {
    const tree = this.#tree
    if (tree.type(inode) !== 'file' || this.#seen.has(inode)) return
    this.#seen.add(inode)
    if (tree.size(inode) > MAX_FILE_BYTES) return
    for (const { chunk, count } of tree.extents(inode)) {
      for (let next = chunk; next < chunk + count; next++) {
        if (this.#storedBytes >= MAX_STORED_BYTES) return
        if (this.chunks.has(next)) continue
        this.chunks.add(next)
        this.#storedBytes += tree.chunks.storedBytes[next] ?? 0
      }
    }
  }

  #withArch(path: string): string[] {
    if (!path.includes('ARCH')) return [path]
    return this.#arches.map((arch) => path.replace('ARCH', arch))
  }

  #namesIn(path: string): string[] {
    const inode = resolvePath(this.#tree, path)
    if (inode === undefined || this.#tree.type(inode) !== 'directory') return []
    const first = this.#tree.firstEntry(inode)
    const count = this.#tree.directoryEntryCount(inode)
    return Array.from({ length: count }, (_, n) =>
      Buffer.from(this.#tree.entryName(first + n)).toString()
    )
  }
}
