import type { PageImage, PageImageDetail } from '../rpc/page-protocol.ts'
import { BlockMap } from './block-map.ts'
import { element, setChildren, setText } from './dom.ts'
import { agoText, bytesText, counted, countText, percentText, rateText } from './format.ts'
import { keptText, roleText } from './image-texts.ts'
import { PeerTable } from './peer-table.ts'
import { RateChart } from './rate-chart.ts'
import type { Rates, RatesOf } from './rates.ts'

/** A figure with its name and a line below. */
class Figure {
  readonly element: HTMLElement
  readonly #value = element('dd', { class: 'value' })
  readonly #more = element('dd', { class: 'more' })

  constructor(name: string, kind = '') {
    this.element = element('div', {
      class: `figure ${kind}`,
      children: [element('dt', { text: name }), this.#value, this.#more]
    })
  }

  update(value: string, more: string): void {
    setText(this.#value, value)
    setText(this.#more, more)
  }
}

/** All that is shown of one image. */
export class ImagePage {
  readonly element: HTMLElement
  readonly #name = element('h2', { class: 'name' })
  readonly #role = element('p', { class: 'under' })
  readonly #figures = {
    held: new Figure('Here'),
    received: new Figure('Receiving', 'received'),
    sent: new Figure('Sending', 'sent'),
    kept: new Figure('Kept'),
    seen: new Figure('Peers')
  }
  readonly #maps = element('div', { class: 'maps' })
  readonly #map = { content: new BlockMap(), entries: new BlockMap() }
  readonly #chart = new RateChart()
  readonly #peers = new PeerTable()
  readonly #peersTitle = element('h3')

  constructor({ key }: PageImage) {
    const figures = Object.values(this.#figures).map((figure) => figure.element)
    const section = (title: HTMLElement, ...content: Node[]): HTMLElement =>
      element('section', { children: [title, ...content] })
    const titled = (text: string): HTMLElement => element('h3', { text })
    this.element = element('article', {
      children: [
        element('header', {
          class: 'head',
          children: [
            this.#name,
            this.#role,
            element('p', { class: 'key', children: [element('code', { text: key })] })
          ]
        }),
        element('dl', { class: 'figures', children: figures }),
        section(titled('Blocks'), this.#maps),
        section(titled('Last minutes'), this.#chart.element),
        section(this.#peersTitle, this.#peers.element)
      ]
    })
  }

  update(
    image: PageImage,
    detail: PageImageDetail | null,
    { nowMs, rates, peerRates }: { nowMs: number; rates: Rates; peerRates: RatesOf }
  ): void {
    setText(this.#name, image.name)
    setText(this.#role, `${roleText(image)} · ${bytesText(image.storedBytes)} stored`)
    const { held, received, sent, kept, seen } = this.#figures
    const { blocksHeld, blocksKnown } = image
    held.update(
      percentText(blocksHeld, blocksKnown),
      blocksKnown === 0
        ? 'nothing is known of it yet'
        : `${countText(blocksHeld)} of ${counted(blocksKnown, 'block')}`
    )
    const now = rates.current
    received.update(rateText(now.received), `${bytesText(image.receivedBytes)} so far`)
    sent.update(rateText(now.sent), `${bytesText(image.sentBytes)} so far`)
    kept.update(keptText(image), image.complete ? 'complete' : 'not complete')
    seen.update(
      image.peers > 0 ? `${countText(image.peers)} connected` : 'none',
      image.peers > 0
        ? `opened here: ${agoText(image.lastUsed, nowMs)}`
        : `last seen: ${agoText(image.lastSeen, nowMs)}`
    )
    this.#chart.update(rates.all, nowMs)
    if (detail?.id !== image.id) return
    const logs = detail.logs.filter(({ blocks }) => blocks > 0)
    setChildren(
      this.#maps,
      logs.length === 0
        ? [
            element('p', {
              class: 'empty',
              text: 'No block is known yet: no peer has told of any.'
            })
          ]
        : logs.map(({ what }) => this.#map[what].element)
    )
    for (const log of logs) this.#map[log.what].update(log)
    setText(
      this.#peersTitle,
      detail.peers.length === 0 ? 'Peers' : counted(detail.peers.length, 'peer')
    )
    this.#peers.update(image, detail, peerRates)
  }

  /** After the theme has changed. */
  redraw(): void {
    for (const map of Object.values(this.#map)) map.redraw()
  }
}
