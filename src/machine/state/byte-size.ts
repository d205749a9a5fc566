import { ContainerError } from '../../core/errors.ts'

const UNITS: Readonly<Record<string, number>> = {
  '': 1024 ** 2,
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4
}

/**
 * Reads an amount such as `512M`, `1.5G`, `2GiB`; a bare number is MiB, as with QEMU.
 *
 * @returns bytes, a multiple of 1 MiB
 * @throws ContainerError `USAGE`
 */
export function parseSize(text: string): number {
  const match = /^(\d{1,9}(?:\.\d{1,3})?) ?([KMGT]?)(?:iB|B)?$/i.exec(text)
  const factor = UNITS[match?.[2]?.toUpperCase() ?? '']
  const bytes = match === null || factor === undefined ? 0 : Number(match[1]) * factor
  const rounded = Math.round(bytes / UNITS['M']!) * UNITS['M']!
  if (rounded <= 0 || !Number.isSafeInteger(rounded)) {
    throw new ContainerError('USAGE', `not a size: ${JSON.stringify(text)}`, {
      hint: 'give a number with M, G or T, such as 512M or 8G'
    })
  }
  return rounded
}
