/** From one time to a later one, in milliseconds of one clock. */
export type Interval = readonly [sinceMs: number, untilMs: number]

/** The intervals that belong to one cause. */
export interface Layer<T extends string> {
  readonly what: T
  readonly intervals: readonly Interval[]
}

/**
 * Gives each instant of a stretch of time to the first layer that covers it. Time that no layer covers is left out.
 *
 * @returns the times of each layer, in their order
 */
export function placeTime<T extends string>(
  within: Interval,
  layers: readonly Layer<T>[]
): { readonly what: T; readonly times: readonly Interval[] }[] {
  let free: readonly Interval[] = within[1] > within[0] ? [within] : []
  return layers.map(({ what, intervals }) => {
    const taken = union(intervals)
    const times = free.flatMap((piece) => taken.flatMap((each) => common(piece, each)))
    for (const each of taken) free = free.flatMap((piece) => without(piece, each))
    return { what, times }
  })
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
  return placeTime(within, layers).map(({ what, times }) => ({ what, ms: lengthOf(times) }))
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

/** The time that is in both, if there is any. */
function common([since, until]: Interval, [from, to]: Interval): Interval[] {
  const [start, end] = [Math.max(since, from), Math.min(until, to)]
  return end > start ? [[start, end]] : []
}

function without([since, until]: Interval, [from, to]: Interval): Interval[] {
  if (to <= since || from >= until) return [[since, until]]
  const pieces: Interval[] = [
    [since, from],
    [to, until]
  ]
  return pieces.filter(([start, end]) => end > start)
}

/** Adds up intervals that do not overlap. Milliseconds. */
export function lengthOf(intervals: readonly Interval[]): number {
  return intervals.reduce((sum, [since, until]) => sum + until - since, 0)
}
