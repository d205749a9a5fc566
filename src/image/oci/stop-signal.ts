import { constants } from 'node:os'
import { badImage } from './image-error.ts'

/** Linux's highest. */
export const MAX_SIGNAL = 64
/** The first that glibc leaves to programs; musl numbers them alike from here on. */
const MIN_REAL_TIME = 34
/** What systemd powers off at, which manifests have by its name. */
const POWEROFF = { number: 37, name: 'SIGRTMIN+3' }

/**
 * A signal as manifests have it: `SIGQUIT` for `QUIT`, `quit` and `3`. Real-time ones, of which Node.js
 * knows no names, are their numbers, `39` for `SIGRTMIN+5`; but `SIGRTMIN+3` is what it is.
 *
 * @param text of an image's config
 * @throws ContainerError `BAD_SOURCE` for a number or a distance that is no signal's
 */
export function signalName(text: string): string {
  const upper = text.toUpperCase()
  const full = upper.startsWith('SIG') ? upper : `SIG${upper}`
  const number = /^\d+$/.test(text) ? Number(text) : realTimeNumber(full)
  if (number === undefined) return full
  if (number === POWEROFF.number) return POWEROFF.name
  if (number >= MIN_REAL_TIME && number <= MAX_SIGNAL) return `${number}`
  const found = Object.entries(constants.signals).find(([, value]) => value === number)
  if (found === undefined) throw badImage(`its stop signal ${text} does not exist`)
  return found[0]
}

/** Reads `SIGRTMIN`, `SIGRTMIN+3`, `SIGRTMAX-1` and the like. */
function realTimeNumber(full: string): number | undefined {
  const [, base, distance = '0'] = /^SIGRT(MIN|MAX)(?:[+-](\d{1,2}))?$/.exec(full) ?? []
  if (base === undefined) return undefined
  const number = base === 'MIN' ? MIN_REAL_TIME + Number(distance) : MAX_SIGNAL - Number(distance)
  return number >= MIN_REAL_TIME && number <= MAX_SIGNAL ? number : 0
}
