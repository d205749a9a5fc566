/** From one time to a later one, in milliseconds of one clock. */
export type Interval = readonly [sinceMs: number, untilMs: number]

/** The intervals that belong to one cause. */
export interface Layer<T extends string> {
  readonly what: T
  readonly intervals: readonly Interval[]
}

/**
 * Divides a stretch of time among layers. Each instant goes to the first layer that covers it, so the layers never
 * add up to more than the whole. Time that no layer covers is left out.
 *
 * @returns milliseconds of each layer, in their order
 */
export function divideTime<T extends string>(
  within: Interval,
  layers: readonly Layer<T>[]
): { readonly what: T; readonly ms: number }[] {
  let free: readonly Interval[] = within[1] > within[0] ? [within] : []
  return layers.map(({ what, intervals }) => {
    const before = lengthOf(free)
    for (const taken of union(intervals)) free = free.flatMap((piece) => without(piece, taken))
    return { what, ms: before - lengthOf(free) }
  })
}

/** Merges intervals into ones that cover the same time without overlap, in order. */
export function union(intervals: readonly Interval[]): Interval[] {
  const merged: [number, number][] = []
  for (const [since, until] of [...intervals].sort(([one], [other]) => one - other)) {
    const last = merged.at(-1)
    if (until <= since) continue
    if (last !== undefined && since <= last[1]) last[1] = Math.max(last[1], until)
    else merged.push([since, until])
  }
  return merged
}

function without([since, until]: Interval, [from, to]: Interval): Interval[] {
  if (to <= since || from >= until) return [[since, until]]
  const pieces: Interval[] = [
    [since, from],
    [to, until]
  ]
  return pieces.filter(([start, end]) => end > start)
}

function lengthOf(intervals: readonly Interval[]): number {
  return intervals.reduce((sum, [since, until]) => sum + until - since, 0)
}
