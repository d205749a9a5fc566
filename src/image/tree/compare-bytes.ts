/**
 * Order of `a[startA, endA)` and `b[startB, endB)` by bytes: negative where the first comes before. For
 * names, which are so short that a call of `Buffer.compare` takes longer.
 */
export function compareBytes(
  a: Uint8Array,
  startA: number,
  endA: number,
  b: Uint8Array,
  startB: number,
  endB: number
): number {
  const common = Math.min(endA - startA, endB - startB)
  for (let i = 0; i < common; i++) {
    const order = a[startA + i]! - b[startB + i]!
    if (order !== 0) return order
  }
  return endA - startA - (endB - startB)
}
