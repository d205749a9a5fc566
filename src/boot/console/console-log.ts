import { open, type FileHandle } from 'node:fs/promises'
import { systemErrorCode } from '../../core/errors.ts'

const TAIL_READ_BYTES = 64 * 1024

/**
 * Reads the last lines of a log, at most 64 KiB, without blank lines at the end.
 *
 * @returns '' for an empty log or none
 */
export async function readLogTail(path: string, lines: number): Promise<string> {
  const text = (await readEnd(path, TAIL_READ_BYTES)).toString('utf8')
  return text.trimEnd().split(/\r?\n/).slice(-lines).join('\n')
}

/** Reads the last `bytes` bytes of a file. @returns an empty buffer when there is no file */
export async function readEnd(path: string, bytes: number): Promise<Buffer> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return Buffer.alloc(0)
    throw error
  }
  try {
    const { size } = await file.stat()
    const start = Math.max(0, size - bytes)
    const { buffer, bytesRead } = await file.read(
      Buffer.alloc(size - start),
      0,
      size - start,
      start
    )
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}
