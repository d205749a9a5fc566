/**
 * A mounter whose "image" is a directory of this machine, bind-mounted read-only: the tests of this
 * folder are about what stands on a mounted image, so they need neither peers nor a daemon. The
 * directory comes in DAT_CONTAINER_TEST_ROOTFS. All else is the real mounter.
 */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type {
  ImageSession,
  OpenImageOptions,
  OpeningImage
} from '../../src/session/connection/image-session.ts'
import { serveMounter } from '../../src/boot/mounter/mounter-process.ts'
import { bindMount, unmount } from '../../src/fuse/linux/bind-mount.ts'
import { MOUNT_FLAG } from '../../src/fuse/linux/mount-syscall.ts'
import type { MountedImage, MountImageOptions } from '../../src/fuse/content/mounted-image.ts'
import { unmountStale } from '../../src/fuse/linux/stale-mounts.ts'
import { ContainerError } from '../../src/core/errors.ts'
import { formatKey, ImageReference } from '../../src/p2p/link.ts'
import { setTimeout as sleep } from 'node:timers/promises'

const environment = process.env

async function openImage({ link, signal }: OpenImageOptions): Promise<ImageSession> {
  if (environment['DAT_CONTAINER_TEST_FAIL'] === 'open') {
    throw new ContainerError('PEERS_UNREACHABLE', 'nobody answered', { hint: 'try later' })
  }
  const delayMs = Number(environment['DAT_CONTAINER_TEST_OPEN_MS'] ?? 0)
  await sleep(delayMs, undefined, signal === undefined ? {} : { signal })
  const parsed = link.fullLink
  if (parsed === undefined) throw new TypeError('a name')
  const version = parsed.version ?? 1
  const start = JSON.parse(environment['DAT_CONTAINER_TEST_START'] ?? '{"mode":"boot"}')
  return {
    link: ImageReference.to({ ...parsed, version }),
    key: formatKey(parsed.key),
    version,
    manifest: {
      name: 'Test image',
      arch: 'amd64',
      start,
      version: 1,
      index: { digest: 'sha256:none' }
    } as ImageSession['manifest'],
    tree: undefined as unknown as ImageSession['tree'],
    chunks: undefined as unknown as ImageSession['chunks'],
    async stats() {
      return {
        imageBytes: 1,
        linkBytes: 2,
        fetchedBytes: 3,
        demandBytes: 4,
        prefetchBytes: 5,
        demandReads: 6,
        stallMs: 7,
        peers: 8,
        droppedPeers: 0,
        damagedBlocks: 0,
        unstoredBlocks: 0,
        complete: true,
        localBytes: 9,
        reusedBytes: 0,
        startOrder: null,
        daemonCpuMs: 0
      }
    },
    async fetchAll() {},
    async [Symbol.asyncDispose]() {}
  }
}

async function beginOpening(options: OpenImageOptions): Promise<OpeningImage> {
  const session = await openImage(options)
  return { ...session, arrived, open: async () => session }
}

async function arrived(): Promise<void> {
  if (environment['DAT_CONTAINER_TEST_FAIL'] !== 'index') return
  throw new ContainerError('BAD_INDEX', 'the index is damaged', { hint: 'fetch it again' })
}

async function mountImage({ directory }: MountImageOptions): Promise<MountedImage> {
  if (environment['DAT_CONTAINER_TEST_FAIL'] === 'mount') {
    throw new ContainerError('MOUNT_FAILED', 'the mount failed', { hint: 'mend it' })
  }
  const rootfs = join(directory, 'rootfs')
  await mkdir(rootfs)
  await bindMount(environment['DAT_CONTAINER_TEST_ROOTFS'] ?? '', rootfs, {
    flags: MOUNT_FLAG.readOnly
  })
  return {
    rootfs,
    mode: 'fuse',
    serve: async () => {},
    preload: async () => {},
    [Symbol.asyncDispose]: () => unmount(rootfs, { lazy: 'if-busy' })
  }
}

/** Nobody goes on for a directory that is bound: it needs no server. */
async function takeOverImage(): Promise<MountedImage> {
  throw new ContainerError('MOUNT_FAILED', 'a directory has no server')
}

await serveMounter({ beginOpening, mountImage, takeOverImage, unmountStale })
