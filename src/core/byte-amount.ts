import { ContainerError } from './errors.ts'

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4
}

/**
 * Reads an amount such as `500k`, `2M`, `1.5G` or `10GiB`, with units of 1024 as Docker and curl have them; a bare number
 * is bytes.
 *
 * @returns bytes, at least 1
 * @throws ContainerError `USAGE`
 */
export function parseByteAmount(text: string): number {
  const match = /^(\d{1,15}(?:\.\d{1,3})?) ?([KMGT]?)(?:iB|B)?$/i.exec(text)
  const factor = UNITS[match?.[2]?.toUpperCase() ?? '']
  const bytes = match === null || factor === undefined ? 0 : Math.floor(Number(match[1]) * factor)
  if (bytes > 0 && Number.isSafeInteger(bytes)) return bytes
  throw new ContainerError('USAGE', `not an amount of bytes: ${JSON.stringify(text)}`, {
    hint: 'give a number with k, M, G or T, such as 500k or 10G'
  })
}
