/** The middle value, or the mean of both middle ones. @throws RangeError without values */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const low = sorted[(sorted.length - 1) >> 1]
  const high = sorted[sorted.length >> 1]
  if (low === undefined || high === undefined) throw new RangeError('no values')
  return (low + high) / 2
}

export function rounded(value: number, digits = 0): number {
  return Number(value.toFixed(digits))
}
