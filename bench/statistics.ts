/** The middle value, or the mean of both middle ones. @throws RangeError without values */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const low = sorted[(sorted.length - 1) >> 1]
  const high = sorted[sorted.length >> 1]
  if (low === undefined || high === undefined) throw new RangeError('no values')
  return (low + high) / 2
}

/** {@link percentile} of 95 %. */
export function p95(values: readonly number[]): number {
  return percentile(values, 95)
}

/** The value that so many per cent of the values do not exceed (nearest rank). @throws RangeError without values */
export function percentile(values: readonly number[], perCent: number): number {
  const value = values.toSorted((a, b) => a - b)[Math.ceil((values.length * perCent) / 100) - 1]
  if (value === undefined) throw new RangeError('no values')
  return value
}

export function rounded(value: number, digits = 0): number {
  return Number(value.toFixed(digits))
}
