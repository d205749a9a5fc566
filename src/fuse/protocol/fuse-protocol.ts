/**
 * The kernel's FUSE protocol, as far as a read-only tree takes it. Source: include/uapi/linux/fuse.h of
 * Linux, whose names these are. Numbers are in the byte order of the machine; all that this project's
 * native packages are built for is little-endian.
 */

export const MAJOR_VERSION = 7
/** From 7.23 (Linux 3.15) on, INIT is answered in the form that is written here. */
export const LEAST_MINOR_VERSION = 23
/** The version whose structures these are; the kernel speaks its own where that is lower. */
export const MINOR_VERSION = 38

export const IN_HEADER_BYTES = 40
export const OUT_HEADER_BYTES = 16
/** Length of `fuse_init_in` up to 7.35; later fields are of no use here. */
export const INIT_IN_BYTES = 16
/** With the upper flags. */
export const INIT_EXTENDED_BYTES = 20
export const INIT_OUT_BYTES = 64
/** Length of `fuse_read_in`, which READDIR and READDIRPLUS use too. */
export const READ_IN_BYTES = 40
export const GETXATTR_IN_BYTES = 8
export const LSEEK_IN_BYTES = 24
export const INTERRUPT_IN_BYTES = 8
export const ATTR_BYTES = 88
export const ENTRY_OUT_BYTES = 40 + ATTR_BYTES
export const DIRENT_BYTES = 24
/** Records of a directory begin at multiples of this. */
export const DIRENT_ALIGNMENT = 8

export const OPCODE = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  readlink: 5,
  open: 14,
  read: 15,
  statfs: 17,
  release: 18,
  getxattr: 22,
  listxattr: 23,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
  readdirplus: 44,
  lseek: 46
} as const

/**
 * What INIT agrees on. Not among them: ASYNC_DIO, as a process that reads past the page cache then waits
 * where no signal reaches it; and READDIRPLUS_AUTO, as a listing that was read without attributes and kept costs a lookup
 * for each entry later.
 */
export const INIT_FLAG = {
  asyncRead: 1 << 0,
  exportSupport: 1 << 4,
  doReaddirplus: 1 << 13,
  noOpenSupport: 1 << 17,
  parallelDirops: 1 << 18,
  posixAcl: 1 << 20,
  maxPages: 1 << 22,
  cacheSymlinks: 1 << 23,
  noOpendirSupport: 1 << 24,
  /** There are upper flags. */
  extended: 1 << 30
} as const

/** The upper 32 bits of what INIT agrees on. */
export const INIT_UPPER_FLAG = {
  /** Mounts of the tree may map ids; from Linux 6.12 on, and with default_permissions only. */
  allowIdmap: 1 << 8
} as const

/** Flags in the answer to OPEN and OPENDIR. */
export const OPEN_FLAG = { keepCache: 1 << 1, cacheDirectory: 1 << 3 } as const

/** Codes of a notification, an answer without a request (its `unique` is 0); they stand where the error does. */
export const NOTIFY = { resend: 7 } as const

/** `whence` of LSEEK, from lseek(2). */
export const SEEK = { data: 3, hole: 4 } as const

/** Node id of the root directory. */
export const ROOT_NODE = 1
