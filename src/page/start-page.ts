import type { PageStart } from '../rpc/page-protocol.ts'
import { START_PART_TEXTS, START_PARTS, type StartPart } from '../rpc/start-parts.ts'
import { element } from './dom.ts'
import { dateText, secondsText } from './format.ts'

/** Who a part waits for: parts of one kind have one colour. */
const KINDS: Readonly<Record<StartPart, 'ours' | 'network' | 'container'>> = {
  programs: 'ours',
  discovery: 'network',
  connect: 'network',
  metadata: 'network',
  mount: 'ours',
  setUp: 'ours',
  demand: 'network',
  prefetch: 'network',
  container: 'container'
}
/** So many marks of time at most. */
const MOST_TICKS = 6

/** Draws where the time until a container was ready went: a row for each part. */
export function startPage(start: PageStart): HTMLElement {
  const { container, image, version, mode, at, totalMs } = start
  const ready = mode === 'boot' ? 'Its init was up' : 'Its command ran'
  const attributed = start.parts.reduce((sum, { ms }) => sum + ms, 0)
  const rows = START_PARTS.map((part) => {
    const times = start.parts.find((each) => each.part === part)?.times ?? []
    return row(START_PART_TEXTS[part], times, totalMs, KINDS[part])
  })
  return element('article', {
    children: [
      element('header', {
        class: 'head',
        children: [
          element('h2', { class: 'name', text: container }),
          element('p', {
            class: 'under',
            text: `${image}, version ${version} · ${dateText(at)}`
          })
        ]
      }),
      element('p', { class: 'total', text: `${ready} after ${secondsText(totalMs)}.` }),
      element('section', {
        children: [
          element('h3', { text: 'Where the time went' }),
          element('table', {
            class: 'waterfall',
            attributes: { 'aria-label': `Parts of the start of ${container}` },
            children: [
              element('thead', { children: [axis(totalMs)] }),
              element('tbody', {
                children: [...rows, restRow(totalMs - attributed, totalMs)]
              })
            ]
          }),
          legend()
        ]
      })
    ]
  })
}

function row(
  text: string,
  times: readonly (readonly [number, number])[],
  totalMs: number,
  kind: string
): HTMLElement {
  const step = stepOf(totalMs)
  const ticks = Array.from({ length: Math.floor(totalMs / step) + 1 }, (_, n) => {
    const tick = element('i', { class: 'tick' })
    tick.style.left = percent(n * step, totalMs)
    return tick
  })
  const pieces = times.map(([from, to]) => {
    const piece = element('i', { class: `piece ${kind}` })
    piece.style.left = percent(from, totalMs)
    piece.style.width = percent(to - from, totalMs)
    return piece
  })
  const ms = lengthOf(times)
  return element('tr', {
    class: ms === 0 ? 'none' : '',
    children: [
      element('th', { text, attributes: { scope: 'row' } }),
      element('td', {
        class: 'track',
        children: [
          element('div', { attributes: { 'aria-hidden': 'true' }, children: [...ticks, ...pieces] })
        ]
      }),
      element('td', { class: 'number', text: secondsText(ms) }),
      element('td', { class: 'number share', text: `${((100 * ms) / totalMs).toFixed(1)} %` })
    ]
  })
}

function restRow(ms: number, totalMs: number): HTMLElement {
  return element('tr', {
    class: 'rest',
    children: [
      element('th', { text: 'not attributed', attributes: { scope: 'row' } }),
      element('td'),
      element('td', { class: 'number', text: secondsText(Math.max(0, ms)) }),
      element('td', {
        class: 'number share',
        text: `${((100 * Math.max(0, ms)) / totalMs).toFixed(1)} %`
      })
    ]
  })
}

function axis(totalMs: number): HTMLElement {
  const step = stepOf(totalMs)
  const ticks = Array.from({ length: Math.floor(totalMs / step) + 1 }, (_, n) => {
    const tick = element('span', {
      text: tickText(n * step)
    })
    tick.style.left = percent(n * step, totalMs)
    return tick
  })
  return element('tr', {
    children: [
      element('th', { text: 'Part', attributes: { scope: 'col' } }),
      element('th', {
        class: 'axis',
        attributes: { scope: 'col', 'aria-label': 'When' },
        children: [element('div', { children: ticks })]
      }),
      element('th', { class: 'number', text: 'Time', attributes: { scope: 'col' } }),
      element('th', { class: 'number share', text: 'Share', attributes: { scope: 'col' } })
    ]
  })
}

function legend(): HTMLElement {
  const entry = (kind: string, text: string): HTMLElement =>
    element('span', {
      children: [element('i', { class: `swatch ${kind}` }), element('span', { text })]
    })
  return element('div', {
    class: 'legend',
    children: [
      entry('ours', 'this machine prepares it'),
      entry('network', 'the network and peers'),
      entry('container', 'the container itself')
    ]
  })
}

/** A time without zeros at its end. */
function tickText(ms: number): string {
  return ms === 0 ? '0' : ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`
}

/** A step of 1, 2 or 5 with zeros. Milliseconds. */
function stepOf(totalMs: number): number {
  const least = Math.max(1, totalMs / MOST_TICKS)
  const power = 10 ** Math.floor(Math.log10(least))
  return power * ([1, 2, 5].find((factor) => factor * power >= least) ?? 10)
}

function percent(ms: number, totalMs: number): string {
  return `${(100 * ms) / totalMs}%`
}

function lengthOf(times: readonly (readonly [number, number])[]): number {
  return times.reduce((sum, [from, to]) => sum + to - from, 0)
}
