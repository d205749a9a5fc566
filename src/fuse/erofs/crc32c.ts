/** CRC-32C (Castagnoli), reflected, as RFC 3720 has it. */
const POLYNOMIAL = 0x82f63b78

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1
  return value
})

/**
 * The running CRC-32C of `bytes`, without the final inversion (EROFS stores it so).
 *
 * @param seed the value so far; all ones at the beginning
 */
export function crc32c(bytes: Uint8Array, seed = 0xffffffff): number {
  let value = seed
  for (const byte of bytes) value = (TABLE[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8)
  return value >>> 0
}
