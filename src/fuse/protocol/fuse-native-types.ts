/**
 * The part of fuse-native 2.2 that this project uses. The package has no types, and it is loaded by
 * `require` at run time (see `binding.ts`), so these describe values, not a module.
 */

/** A callback of fuse-native: 0 or a count of bytes on success, a negative errno on failure. */
export type FuseCallback<Result = never> = (errno: number, result?: Result) => void

/** `stat` as fuse-native packs it; times are milliseconds since the epoch. */
export interface FuseStat {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly nlink: number
  readonly ino: number
  readonly rdev: number
  readonly blksize: number
  /** In units of 512 bytes. */
  readonly blocks: number
  readonly mtime: number
  readonly atime: number
  readonly ctime: number
}

export interface FuseOperations {
  getattr?(path: string, done: FuseCallback<FuseStat>): void
  readdir?(path: string, done: FuseCallback<string[]>): void
  /** The result is a file handle; 0 is taken for "none". */
  open?(path: string, flags: number, done: FuseCallback<number>): void
  /** Fills `buffer`; `done` gets the count of bytes in place of an errno. */
  read?(
    path: string,
    handle: number,
    buffer: Buffer,
    length: number,
    position: number,
    done: FuseCallback
  ): void
}

export interface FuseOptions {
  readonly timeout?: number | false
  readonly allowOther?: boolean
  readonly kernelCache?: boolean
  readonly maxRead?: number
  readonly entryTimeout?: number
  readonly attrTimeout?: number
  readonly fsname?: string
}

/** An instance, with the members that `fuse-server.ts` reads. */
export interface FuseInstance {
  readonly mnt: string
  readonly _thread: Buffer
  open(done: (error?: Error | null) => void): void
}

export type FuseConstructor = new (
  mountPoint: string,
  operations: FuseOperations,
  options: FuseOptions
) => FuseInstance

/** The native addon under fuse-native. */
export interface FuseAddon {
  /** Unrefs the mount's event-loop handle; does not unmount. */
  fuse_native_unmount(mountPoint: string, thread: Buffer): void
}
