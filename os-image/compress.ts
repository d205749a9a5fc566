import { run } from './command.ts'

/** Size of the dictionary: the kernel's decoder allocates it, once, before anything else needs memory. */
const DICTIONARY = '128MiB'

/**
 * Compresses for the kernel's decoder: CRC32. One thread, as blocks of several would be less well
 * compressed.
 *
 * @param filter xz's option for the machine code in `content`
 */
export async function compressXz(content: Buffer, filter?: string): Promise<Buffer> {
  const lzma2 = `--lzma2=preset=9e,dict=${DICTIONARY}`
  const filters = [filter, lzma2].filter((each) => each !== undefined)
  return run('nice', ['-n', '10', 'xz', '-T1', '--check=crc32', ...filters, '-c'], {
    input: content
  })
}
