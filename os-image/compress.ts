import { run } from './command.ts'

/** Of the dictionary: the kernel's decoder allocates it, once, before anything else needs memory. */
const DICTIONARY = '128MiB'

/**
 * Compresses for the kernel's decoder: CRC32, and the filter for x86 code. One thread, as blocks of
 * several would be less well compressed.
 */
export async function compressXz(content: Buffer): Promise<Buffer> {
  const lzma2 = `--lzma2=preset=9e,dict=${DICTIONARY}`
  return run('nice', ['-n', '10', 'xz', '-T1', '--check=crc32', '--x86', lzma2, '-c'], {
    input: content
  })
}
