const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
const STEP = 1_000

/** Says an amount of bytes with three digits. */
export function bytesText(bytes: number): string {
  let [amount, unit] = [bytes, 0]
  while (amount >= 999.5 && unit < UNITS.length - 1) {
    amount /= STEP
    unit++
  }
  const digits = unit === 0 || amount >= 99.95 ? 0 : amount >= 9.995 ? 1 : 2
  return `${amount.toFixed(digits)} ${UNITS[unit]}`
}

/** @param rate bytes a second */
export function rateText(rate: number): string {
  return rate < 1 ? '0 B/s' : `${bytesText(rate)}/s`
}

/** Says a part of a whole; all and nothing are said only where it is so. */
export function percentText(part: number, whole: number): string {
  if (whole === 0) return '–'
  if (part >= whole) return '100 %'
  const percent = (100 * part) / whole
  if (part > 0 && percent < 0.1) return '< 0.1 %'
  return `${Math.min(percent, 99.9).toFixed(1)} %`
}

export function countText(count: number): string {
  return count.toLocaleString('en')
}

const UNITS_OF_TIME = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's']
] as const

/** Says how long ago something was. @param at ISO 8601 */
export function agoText(at: string | null, nowMs: number): string {
  if (at === null) return 'never'
  const ms = nowMs - Date.parse(at)
  const [size, name] = UNITS_OF_TIME.find(([size]) => ms >= size) ?? [1, '']
  return name === '' || ms < 2_000 ? 'now' : `${Math.floor(ms / size)} ${name} ago`
}

/** Says when something was, by this machine's clock. @param at ISO 8601 */
export function dateText(at: string): string {
  // Sweden writes dates as ISO 8601 does.
  return new Date(at).toLocaleString('sv-SE')
}

export function secondsText(ms: number): string {
  return ms < 1_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(2)} s`
}

/** The beginning of a key is enough to tell it from others. */
export function shortKey(key: string): string {
  return `${key.slice(0, 10)}…`
}

/** Says a thing and its plural. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${countText(count)} ${count === 1 ? one : many}`
}
