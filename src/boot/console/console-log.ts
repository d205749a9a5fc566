import { open, type FileHandle } from 'node:fs/promises'
import { systemErrorCode } from '../../core/errors.ts'

const TAIL_READ_BYTES = 64 * 1024

/** The last lines of a log, as far as 64 KiB go, without trailing blank ones; '' when none. */
export async function readLogTail(path: string, lines: number): Promise<string> {
  const text = (await readEnd(path, TAIL_READ_BYTES)).toString('utf8')
  return text.trimEnd().split(/\r?\n/).slice(-lines).join('\n')
}

/** The last `bytes` of a file; empty when it is not there. */
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
