import * as fs from 'node:fs'
import { join } from 'node:path'
import { listXattrs, mknod, setXattr } from '../fuse/system-calls.ts'

/** Where what a check works on is, before it does. */
export const STATES = ['lower', 'upper', 'copied'] as const

export const OTHER = 1234
/** `content` of the planted files. */
export const CONTENT = 'content of the file'

/** A directory of one check's own, with the same things in it for each of them. */
export class Place {
  readonly path: string

  constructor(path: string) {
    this.path = path
  }

  at(name: string): string {
    return join(this.path, name)
  }

  /** Fills the directory. */
  plant(): void {
    fs.mkdirSync(this.at('dir/inner'), { recursive: true })
    fs.mkdirSync(this.at('empty'))
    fs.mkdirSync(this.at('sticky'))
    for (const name of ['file', 'second', 'setuid', 'linked', 'dir/inside', 'sticky/roots']) {
      fs.writeFileSync(this.at(name), CONTENT)
    }
    fs.writeFileSync(this.at('sticky/others'), CONTENT)
    fs.chownSync(this.at('sticky/others'), OTHER, OTHER)
    fs.chmodSync(this.at('sticky'), 0o1777)
    fs.chownSync(this.at('setuid'), OTHER, OTHER)
    fs.chmodSync(this.at('setuid'), 0o6755)
    fs.linkSync(this.at('linked'), this.at('linked-too'))
    fs.symlinkSync('file', this.at('symlink'))
    fs.symlinkSync('nowhere', this.at('dangling'))
    fs.symlinkSync('dir', this.at('to-dir'))
    mknod(this.at('fifo'), fs.constants.S_IFIFO | 0o644)
    setXattr(this.at('file'), 'user.note', Buffer.from('kept'))
    for (const name of this.#names()) fs.lutimesSync(this.at(name), 1000, 1000)
  }

  /** Has the overlay copy all of it to its upper layer, and changes nothing by that. */
  copyUp(): void {
    for (const name of this.#names()) {
      const { uid, gid } = fs.lstatSync(this.at(name))
      const { mode } = fs.lstatSync(this.at(name))
      fs.lchownSync(this.at(name), uid, gid)
      // Owners of files with setuid lose it with any chown, even to themselves.
      if (!fs.lstatSync(this.at(name)).isSymbolicLink()) fs.chmodSync(this.at(name), mode & 0o7777)
      if (fs.lstatSync(this.at(name)).isFile()) fs.closeSync(fs.openSync(this.at(name), 'r+'))
      fs.lutimesSync(this.at(name), 1000, 1000)
    }
  }

  #names(): string[] {
    return (fs.readdirSync(this.path, { recursive: true }) as string[]).sort()
  }

  /** Type, mode, owner, links and size: what a check's work shows in. */
  stat(name: string): string {
    return answer(() => {
      const { mode, uid, gid, nlink, size } = fs.lstatSync(this.at(name))
      const isDirectory = (mode & fs.constants.S_IFMT) === fs.constants.S_IFDIR
      const links = isDirectory ? '-' : `${nlink}`
      return `${mode.toString(8)} ${uid}:${gid} x${links} ${isDirectory ? '-' : size}`
    })
  }

  read(name: string): string {
    return answer(() => JSON.stringify(fs.readFileSync(this.at(name), 'latin1')))
  }

  list(name = '.'): string {
    return answer(() => fs.readdirSync(this.at(name)).sort().join(' '))
  }

  xattrs(name: string): string {
    return answer(() => listXattrs(this.at(name)).join(' '))
  }

  mtime(name: string): string {
    return answer(() => {
      const { mtimeNs } = fs.lstatSync(this.at(name), { bigint: true })
      const isNow = BigInt(Date.now()) * 1_000_000n - mtimeNs < 600_000_000_000n
      return isNow ? 'now' : `${mtimeNs}`
    })
  }
}

/** What a call says, or the name of its error. */
export function answer(call: () => unknown): string {
  try {
    const said = call()
    return typeof said === 'string' || typeof said === 'number' ? `${said}` : 'ok'
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? (error as Error).message
  }
}

/** Does something as another user, with no group in common. */
export function asOther(call: () => unknown): string {
  process.setegid!(OTHER + 1)
  process.seteuid!(OTHER)
  try {
    return answer(call)
  } finally {
    process.seteuid!(0)
    process.setegid!(0)
  }
}
