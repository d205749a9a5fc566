import { run } from './command.ts'

/** Size of the dictionary: the kernel's decoder allocates it, once, before anything else needs memory. */
const DICTIONARY = '128MiB'

/** How hard xz searches: `least` takes a tenth of the time, and what it makes is a fifth larger. */
export type Effort = 'most' | 'least'

const PRESETS: Readonly<Record<Effort, string>> = { most: '9e', least: '0' }

/**
 * Compresses for the kernel's decoder: CRC32. One thread, as blocks of several would be less well
 * compressed. The decoder needs the same memory and filters whatever the effort was.
 *
 * @param filter xz's option for the machine code in `content`
 */
export async function compressXz(
  content: Buffer,
  effort: Effort,
  filter?: string
): Promise<Buffer> {
  const lzma2 = `--lzma2=preset=${PRESETS[effort]},dict=${DICTIONARY}`
  const filters = [filter, lzma2].filter((each) => each !== undefined)
  // Tests wait for a quick one.
  const priority = effort === 'most' ? '10' : '0'
  return run('nice', ['-n', priority, 'xz', '-T1', '--check=crc32', ...filters, '-c'], {
    input: content
  })
}
