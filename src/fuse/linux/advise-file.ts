import { systemCalls } from '../../core/host/system-calls.ts'

export const POSIX_FADV_RANDOM = 1
export const POSIX_FADV_DONTNEED = 4

type Fadvise = (
  fd: number,
  offset: number,
  length: number,
  advice: number,
  done: (error: unknown, result: number) => void
) => void

let fadvise: Fadvise | undefined

/**
 * posix_fadvise(2) of a whole file, in another thread: this one may be whom the kernel asks for the file.
 * That advice is not taken costs memory or time, not correctness, and is not told.
 */
export async function adviseFile(fd: number, advice: number): Promise<void> {
  const declared = 'int posix_fadvise(int, int64_t, int64_t, int)'
  const call = (fadvise ??= systemCalls().load(null).func(declared).async as Fadvise)
  await new Promise<void>((resolve) => call(fd, 0, 0, advice, () => resolve()))
}
