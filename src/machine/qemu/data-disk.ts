import { randomBytes } from 'node:crypto'
import { open, rename, rm, stat } from 'node:fs/promises'
import { runCommand } from '../../core/host/host-command.ts'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { findProgram } from './find-qemu.ts'
import type { DataDisk } from './qemu-plan.ts'
import type { Platform } from '../state/machine-types.ts'

const QCOW2_MAGIC = Buffer.from('QFI\xfb', 'latin1')
/** Offset of the guest's size, big-endian, in the header of qcow2 (docs/interop/qcow2.txt of QEMU). */
const QCOW2_SIZE_OFFSET = 24
const HEADER_BYTES = 32

/**
 * Makes the data disk at `path` if it is absent, and enlarges it if it is smaller than asked. Unwritten parts take
 * no space: the disk is qcow2 if qemu-img is available, else a sparse file.
 *
 * @throws ContainerError `USAGE` when it is larger than asked, `IO`
 */
export async function prepareDisk(
  path: string,
  bytes: number,
  platform: Platform
): Promise<DataDisk> {
  const qemuImg = findProgram(platform, 'qemu-img')
  const found = await readDisk(path)
  if (found === undefined) return makeDisk(path, bytes, qemuImg)
  if (found.bytes > bytes) {
    throw new ContainerError('USAGE', `the data disk has ${mib(found.bytes)} MiB already`, {
      hint: `disks can only grow: leave --disk out, or remove the machine and its data first`
    })
  }
  if (found.bytes < bytes) await growDisk(path, found.format, bytes, qemuImg)
  return { path, format: found.format }
}

/**
 * Reads the format, and the size in bytes as the guest sees it, of a disk.
 *
 * @returns undefined when there is none
 */
export async function readDisk(
  path: string
): Promise<{ format: DataDisk['format']; bytes: number } | undefined> {
  try {
    await using file = await open(path, 'r')
    const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, 0)
    if (bytesRead === HEADER_BYTES && buffer.subarray(0, 4).equals(QCOW2_MAGIC)) {
      return { format: 'qcow2', bytes: Number(buffer.readBigUInt64BE(QCOW2_SIZE_OFFSET)) }
    }
    return { format: 'raw', bytes: (await file.stat()).size }
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

async function makeDisk(
  path: string,
  bytes: number,
  qemuImg: string | undefined
): Promise<DataDisk> {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    await (await open(temporary, 'wx', 0o600)).close()
    if (qemuImg === undefined) await resizeRaw(temporary, bytes)
    else await run(qemuImg, ['create', '-q', '-f', 'qcow2', temporary, String(bytes)])
    await rename(temporary, path)
  } finally {
    await rm(temporary, { force: true })
  }
  return { path, format: qemuImg === undefined ? 'raw' : 'qcow2' }
}

async function growDisk(
  path: string,
  format: DataDisk['format'],
  bytes: number,
  qemuImg: string | undefined
): Promise<void> {
  if (format === 'raw') return resizeRaw(path, bytes)
  if (qemuImg === undefined) {
    throw new ContainerError('MISSING_TOOL', 'the data disk cannot grow: there is no qemu-img', {
      hint: 'install it (Debian: apt-get install -y qemu-utils), or leave --disk out'
    })
  }
  await run(qemuImg, ['resize', '-q', '-f', 'qcow2', path, String(bytes)])
}

async function resizeRaw(path: string, bytes: number): Promise<void> {
  await using file = await open(path, 'a', 0o600)
  const { size } = await stat(path)
  if (size < bytes) await file.truncate(bytes)
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { exitCode, stderr } = await runCommand(program, args)
  if (exitCode === 0) return
  throw new ContainerError('IO', `the data disk cannot be made: ${stderr.trim().split('\n')[0]}`)
}

function mib(bytes: number): number {
  return Math.round(bytes / 1024 ** 2)
}
