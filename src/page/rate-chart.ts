import { drawing, element, setText } from './dom.ts'
import { rateText } from './format.ts'
import type { Rate } from './rates.ts'

const WIDTH = 600
const HEIGHT = 120
/** So much is shown: as little as has all that is known. Minutes. */
const SPANS = [1, 2, 5]
const MINUTE_MS = 60_000
/** With less to show, noise would fill the chart. Bytes a second. */
const LEAST_TOP = 10_000

/** Draws what was sent and received over the last minutes. */
export class RateChart {
  readonly element: HTMLElement
  readonly #lines: Readonly<Record<'sent' | 'received', SVGPathElement>>
  readonly #area: SVGPathElement
  readonly #top = element('span', { class: 'chart-top' })
  readonly #drawing: SVGSVGElement
  readonly #since = element('span')

  constructor() {
    const path = (name: string): SVGPathElement => drawing('path', { class: name })
    this.#lines = { sent: path('line sent'), received: path('line received') }
    this.#area = path('area received')
    const rules = [0.5, 1].map((part) => {
      const y = String(HEIGHT * (1 - part))
      return drawing('line', { class: 'rule', x1: '0', x2: String(WIDTH), y1: y, y2: y })
    })
    this.#drawing = drawing(
      'svg',
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img' },
      [...rules, this.#area, this.#lines.received, this.#lines.sent]
    )
    this.element = element('div', {
      class: 'chart',
      children: [
        this.#top,
        this.#drawing,
        element('div', {
          class: 'chart-times',
          children: [this.#since, element('span', { text: 'now' })]
        })
      ]
    })
  }

  update(rates: readonly Rate[], nowMs: number): void {
    const top = roundUp(
      Math.max(LEAST_TOP, ...rates.flatMap(({ sent, received }) => [sent, received]))
    )
    const age = (nowMs - (rates[0]?.atMs ?? nowMs)) / MINUTE_MS
    const minutes = SPANS.find((span) => span >= age) ?? 5
    setText(this.#since, `${minutes} min ago`)
    const x = (atMs: number): string =>
      Math.max(0, WIDTH * (1 - (nowMs - atMs) / MINUTE_MS / minutes)).toFixed(1)
    const y = (rate: number): string => (HEIGHT * (1 - rate / top)).toFixed(1)
    for (const which of ['sent', 'received'] as const) {
      const points = rates.map((rate) => `${x(rate.atMs)},${y(rate[which])}`)
      this.#lines[which].setAttribute('d', points.length === 0 ? '' : `M${points.join('L')}`)
      const [first, last] = [rates[0], rates.at(-1)]
      if (which === 'sent' || first === undefined || last === undefined) continue
      this.#area.setAttribute(
        'd',
        `M${x(first.atMs)},${HEIGHT}L${points.join('L')}L${x(last.atMs)},${HEIGHT}Z`
      )
    }
    if (rates.length === 0) this.#area.setAttribute('d', '')
    setText(this.#top, rateText(top))
    const { sent = 0, received = 0 } = rates.at(-1) ?? {}
    this.#drawing.setAttribute(
      'aria-label',
      `Rates of the last five minutes; now ${rateText(received)} received, ${rateText(sent)} sent`
    )
  }
}

/** The next 1, 2 or 5 with zeros. */
function roundUp(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value))
  return power * ([1, 2, 5].find((factor) => factor * power >= value) ?? 10)
}
