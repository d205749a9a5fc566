import { spawn } from 'node:child_process'
import { open, rm } from 'node:fs/promises'
import { hostEnvironment } from '../../core/host/host-environment.ts'

/** The magic bytes of the xz format. */
const XZ = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])

/**
 * Unpacks an initrd by this machine's xz. A guest in software takes several times as long for the same.
 *
 * @returns false, and no file, where the initrd is of another format or xz is not here or fails
 */
export async function unpackInitrd(
  initrd: string,
  target: string,
  signal?: AbortSignal
): Promise<boolean> {
  await rm(target, { force: true })
  if (!(await isXz(initrd))) return false
  const isWhole = await unpack(initrd, target, signal).catch(() => false)
  if (!isWhole) await rm(target, { force: true })
  return isWhole
}

async function isXz(path: string): Promise<boolean> {
  await using file = await open(path, 'r')
  const { buffer, bytesRead } = await file.read(Buffer.alloc(XZ.length), 0, XZ.length, 0)
  return bytesRead === XZ.length && buffer.equals(XZ)
}

async function unpack(
  initrd: string,
  target: string,
  signal: AbortSignal | undefined
): Promise<boolean> {
  await using file = await open(target, 'wx', 0o600)
  const child = spawn('xz', ['--decompress', '--stdout', '--quiet', '--', initrd], {
    stdio: ['ignore', file.fd, 'ignore'],
    env: hostEnvironment(),
    ...(signal === undefined ? {} : { signal })
  })
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve(status === 0))
  })
}
