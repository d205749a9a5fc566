import { constants } from 'node:os'
import { join } from 'node:path'
import { isContainerError } from '../../core/errors.ts'
import { CleanupStack } from '../../core/cleanup-stack.ts'
import { segmentAt, BLOCK_BYTES, type DataLayout } from '../content/data-layout.ts'
import { DevicePreload } from './device-preload.ts'
import type { DeviceRange } from '../content/device-ranges.ts'
import { DeviceServer } from './device-server.ts'
import type { FileReader } from '../content/file-reader.ts'
import { FuseChannel, mountAgreed } from '../protocol/fuse-channel.ts'
import type { FuseOperations, FuseStat } from '../protocol/fuse-native-types.ts'
import { answerRead, serveFuse } from '../protocol/fuse-server.ts'
import { PageCacheTrim } from '../linux/page-cache-trim.ts'

const { ENOENT, EROFS } = constants.errno
const FILE_NAME = 'data'
const MOUNT_NAME = 'dat-container-data'
const DIRECTORY_MODE = 0o40_500
const FILE_MODE = 0o100_400
/** Mask of the access mode in the flags of open(2); 0 is read-only. */
const O_ACCMODE = 3

/**
 * The data device: one big virtual file that holds every regular file's content at a block boundary,
 * as `planDataLayout` lays it out. EROFS takes it for its data device.
 */
export interface DataDevice extends AsyncDisposable {
  /** Path of the virtual file. */
  readonly path: string
  /**
   * Has the kernel read these parts before anybody needs them; once, and until disposed.
   *
   * @param ranges in the order in which they will be needed
   */
  preload(ranges: readonly DeviceRange[]): void
  /** Undefined where libfuse serves, which no other process can go on for. */
  readonly channel: FuseChannel | undefined
}

/** Who talks to the kernel: this program, or libfuse through fuse-native. */
export type DeviceTransport = 'channel' | 'fuse-native'

/** What the device is made of. */
export interface DeviceContent {
  readonly layout: DataLayout
  readonly files: FileReader
}

/**
 * Fills `target` with the device's bytes from `offset` on: content, and zeros between files.
 *
 * @param offset any byte, aligned or not
 * @throws what {@link FileReader.read} throws
 */
export async function readDevice(
  { layout, files }: DeviceContent,
  offset: number,
  target: Uint8Array
): Promise<void> {
  const end = offset + target.length
  const reads: Promise<void>[] = []
  let filled = offset
  let segment = Math.max(0, segmentAt(layout, Math.floor(offset / BLOCK_BYTES)))
  for (; segment < layout.segmentCount; segment++) {
    const start = (layout.block[segment] ?? 0) * BLOCK_BYTES
    if (start >= end) break
    const from = Math.max(start, offset)
    const to = Math.min(start + (layout.bytes[segment] ?? 0), end)
    if (to <= from) continue
    target.fill(0, filled - offset, from - offset)
    const position = (layout.position[segment] ?? 0) + (from - start)
    const piece = target.subarray(from - offset, to - offset)
    reads.push(files.read(layout.inode[segment] ?? 0, position, piece))
    filled = to
  }
  target.fill(0, filled - offset)
  await Promise.all(reads)
}

/**
 * Serves the data device at `directory`/data from this thread.
 *
 * @param directory existing, empty, writable by nobody else
 * @param blocks of the device; its content may come later, and reads wait for it
 * @param transport `auto` takes fuse-native where mounting without it fails
 * @throws ContainerError `MISSING_TOOL`, `MOUNT_FAILED`
 */
export async function serveDataDevice(
  directory: string,
  blocks: number,
  content: Promise<DeviceContent>,
  transport: DeviceTransport | 'auto' = 'auto'
): Promise<DataDevice> {
  if (transport === 'fuse-native') return serveByLibfuse(directory, blocks, content)
  try {
    return await serveByChannel(directory, blocks, content)
  } catch (error) {
    if (transport === 'channel' || !isContainerError(error, 'MOUNT_FAILED')) throw error
    return serveByLibfuse(directory, blocks, content)
  }
}

/**
 * Goes on serving a device whose server has died.
 *
 * @param device descriptor of /dev/fuse, inherited
 * @throws ContainerError `MOUNT_FAILED`
 */
export async function takeOverDataDevice(
  directory: string,
  blocks: number,
  content: Promise<DeviceContent>,
  device: number
): Promise<DataDevice> {
  const counter = new ServedBytes()
  const server = deviceServer(blocks, content, counter)
  const channel = FuseChannel.takeOver({
    device,
    mountPoint: directory,
    handle: (request, send) => server.handle(request, send)
  })
  return withCache(directory, channel, counter, channel)
}

async function serveByChannel(
  directory: string,
  blocks: number,
  content: Promise<DeviceContent>
): Promise<DataDevice> {
  const counter = new ServedBytes()
  const channel = await mountAgreed(
    { mountPoint: directory, name: MOUNT_NAME },
    deviceServer(blocks, content, counter)
  )
  return withCache(directory, channel, counter, channel)
}

async function serveByLibfuse(
  directory: string,
  blocks: number,
  content: Promise<DeviceContent>
): Promise<DataDevice> {
  const counter = new ServedBytes()
  const server = await serveFuse({
    mountPoint: directory,
    operations: deviceOperations(blocks, content, (bytes) => counter.add(bytes)),
    name: MOUNT_NAME,
    extra: ['nosuid', 'nodev', 'max_background=64']
  })
  return withCache(directory, server, counter, undefined)
}

/** Tells what the kernel has read to who drops it from the cache, once there is somebody. */
class ServedBytes {
  trim: PageCacheTrim | undefined

  add(bytes: number): void {
    this.trim?.served(bytes)
  }
}

async function withCache(
  directory: string,
  server: AsyncDisposable,
  counter: ServedBytes,
  channel: FuseChannel | undefined
): Promise<DataDevice> {
  const path = join(directory, FILE_NAME)
  const cleanup = new CleanupStack()
  cleanup.hold(server)
  const preload = new DevicePreload(path)
  try {
    const trim = await PageCacheTrim.open(path)
    counter.trim = trim
    cleanup.hold(trim)
    cleanup.hold(preload)
    return {
      path,
      channel,
      preload: (ranges) => void trim.restDuring(preload.run(ranges)),
      [Symbol.asyncDispose]: async () => cleanup[Symbol.asyncDispose]()
    }
  } catch (error) {
    throw await cleanup.undoAfter(error)
  }
}

function deviceServer(
  blocks: number,
  content: Promise<DeviceContent>,
  counter: ServedBytes
): DeviceServer {
  return new DeviceServer(FILE_NAME, blocks * BLOCK_BYTES, async (offset, target) => {
    counter.add(target.length)
    await readDevice(await content, offset, target)
  })
}

function deviceOperations(
  blocks: number,
  content: Promise<DeviceContent>,
  served: (bytes: number) => void
): FuseOperations {
  const bytes = blocks * BLOCK_BYTES
  const fill = async (offset: number, target: Uint8Array): Promise<void> =>
    readDevice(await content, offset, target)
  return {
    getattr(path, done) {
      if (path === '/') done(0, stat(DIRECTORY_MODE, 0))
      else if (path === `/${FILE_NAME}`) done(0, stat(FILE_MODE, bytes))
      else done(-ENOENT)
    },
    readdir(_path, done) {
      done(0, ['.', '..', FILE_NAME])
    },
    open(_path, flags, done) {
      if ((flags & O_ACCMODE) !== 0) done(-EROFS)
      else done(0, 1)
    },
    read(_path, _handle, buffer, length, position, done) {
      const count = Math.max(0, Math.min(length, bytes - position))
      served(count)
      void answerRead(fill(position, buffer.subarray(0, count)), count, done)
    }
  }
}

function stat(mode: number, size: number): FuseStat {
  return {
    mode,
    size,
    uid: 0,
    gid: 0,
    nlink: 1,
    ino: mode === FILE_MODE ? 2 : 1,
    rdev: 0,
    blksize: BLOCK_BYTES,
    blocks: size / 512,
    mtime: 0,
    atime: 0,
    ctime: 0
  }
}
