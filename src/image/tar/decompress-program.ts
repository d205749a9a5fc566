import { spawn } from 'node:child_process'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { hostEnvironment } from '../../core/host/host-environment.ts'
import { badArchive } from './tar-error.ts'

/** How much of a program's complaint goes into the error's cause. */
const MAX_COMPLAINT_BYTES = 1024

/**
 * Decompresses with a program of this machine. Stopping early ends the program.
 *
 * @throws ContainerError `MISSING_TOOL`; `BAD_SOURCE` when the program refuses its input
 */
export async function* decompressByProgram(
  program: 'xz' | 'bzip2' | 'gzip',
  compressed: AsyncIterable<Buffer>
): AsyncGenerator<Uint8Array, void, undefined> {
  const child = spawn(program, ['--decompress', '--stdout', '--quiet'], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: hostEnvironment()
  })
  let complaint = ''
  child.stderr.on('data', (text: Buffer) => {
    complaint = (complaint + text.toString()).slice(0, MAX_COMPLAINT_BYTES)
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', resolve)
  })
  ended.catch(() => {})
  // Its stdin breaks when it ends early; its exit status tells why.
  child.stdin.on('error', () => {})
  let sourceError: unknown
  // Not awaited at the end: the source may be silent until its owner closes it.
  void feed(compressed, child.stdin).catch((error: unknown) => {
    sourceError = error
    child.kill()
  })
  try {
    yield* child.stdout as AsyncIterable<Buffer>
    const status = await exitStatus(program, ended)
    if (sourceError !== undefined) throw sourceError
    if (status !== 0) {
      const cause = new Error(complaint || `${program} ended with ${status}`)
      throw badArchive(`its ${program} stream is damaged or ends early`, undefined, cause)
    }
  } finally {
    child.kill()
    child.stdin.destroy()
  }
}

async function feed(
  compressed: AsyncIterable<Buffer>,
  stdin: NodeJS.WritableStream & { readonly destroyed?: boolean }
): Promise<void> {
  for await (const piece of compressed) {
    if (stdin.destroyed) return
    const more = stdin.write(piece)
    if (!more) await drained(stdin)
  }
  stdin.end()
}

/** Until more can be written, or never again. */
function drained(stdin: NodeJS.WritableStream): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      stdin.off('drain', done)
      stdin.off('close', done)
      resolve()
    }
    stdin.on('drain', done)
    stdin.on('close', done)
  })
}

async function exitStatus(program: string, ended: Promise<number | null>): Promise<number | null> {
  try {
    return await ended
  } catch (cause) {
    if (systemErrorCode(cause) !== 'ENOENT') throw cause
    const packageName = program === 'xz' ? 'xz-utils' : program
    throw new ContainerError('MISSING_TOOL', `${program} is needed to read this archive`, {
      hint: `install it (on Debian: apt install ${packageName}), or decompress the archive first`,
      cause
    })
  }
}
