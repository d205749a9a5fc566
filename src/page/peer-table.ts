import type { PageImage, PageImageDetail, PagePeer } from '../rpc/page-protocol.ts'
import { element, setChildren, setText } from './dom.ts'
import { bytesText, percentText, rateText, shortKey } from './format.ts'
import type { Rate, RatesOf } from './rates.ts'

interface Row {
  readonly element: HTMLTableRowElement
  readonly address: HTMLElement
  readonly bar: HTMLElement
  readonly has: HTMLElement
  readonly received: HTMLElement
  readonly receiving: HTMLElement
  readonly sent: HTMLElement
  readonly sending: HTMLElement
}

const COLUMNS = [
  ['Peer', '', 'Peer'],
  ['Has', '', 'Has'],
  ['Received', 'number', 'Received from it'],
  ['Now', 'number', 'Receiving now'],
  ['Sent', 'number', 'Sent to it'],
  ['Now', 'number', 'Sending now']
] as const

/** What each connected peer has of an image, and what it gives and gets. */
export class PeerTable {
  readonly element: HTMLElement
  readonly #body = element('tbody')
  readonly #table: HTMLElement
  readonly #none = element('p', { class: 'empty' })
  #rows = new Map<string, Row>()

  constructor() {
    const head = COLUMNS.map(([text, kind, label]) =>
      element('th', { text, class: kind, attributes: { scope: 'col', 'aria-label': label } })
    )
    this.#table = element('table', {
      class: 'peers',
      attributes: { 'aria-label': 'Connected peers' },
      children: [element('thead', { children: [element('tr', { children: head })] }), this.#body]
    })
    this.element = element('div', { class: 'peers-box', children: [this.#table, this.#none] })
  }

  /** @param rates by the ids of image and peer */
  update(image: PageImage, { id, peers, logs }: PageImageDetail, rates: RatesOf): void {
    const content = logs.find(({ what }) => what === 'content')?.blocks ?? 0
    this.#table.hidden = peers.length === 0
    this.#none.hidden = peers.length > 0
    setText(
      this.#none,
      image.role === 'owner'
        ? 'No peer is connected. It is here for whoever has its link.'
        : 'No peer is connected. The daemon looks for peers as long as something is wanted.'
    )
    this.#rows = new Map(
      peers.map((peer) => {
        const row = this.#rows.get(peer.key) ?? makeRow(peer)
        updateRow(row, peer, content, rates.of(`${id} ${peer.key}`).current)
        return [peer.key, row]
      })
    )
    setChildren(
      this.#body,
      [...this.#rows.values()].map((row) => row.element)
    )
  }
}

function makeRow({ key }: PagePeer): Row {
  const number = (): HTMLElement => element('td', { class: 'number' })
  const [received, receiving, sent, sending] = [number(), number(), number(), number()]
  const address = element('span', { class: 'address' })
  const bar = element('span', { class: 'bar-held' })
  const has = element('span', { class: 'has' })
  const row = element('tr', {
    children: [
      element('th', {
        attributes: { scope: 'row', title: key },
        children: [element('code', { text: shortKey(key) }), address]
      }),
      element('td', {
        children: [
          element('span', { class: 'bar', attributes: { 'aria-hidden': 'true' }, children: [bar] }),
          has
        ]
      }),
      ...[received, receiving, sent, sending]
    ]
  })
  return { element: row, address, bar, has, received, receiving, sent, sending }
}

/** @param known blocks of the content */
function updateRow(row: Row, peer: PagePeer, known: number, { sent, received }: Rate): void {
  setText(row.address, peer.address ?? '')
  row.bar.style.width = known === 0 ? '0' : `${(100 * peer.blocksHeld) / known}%`
  setText(row.has, peer.complete ? 'all' : percentText(peer.blocksHeld, known))
  setText(row.received, bytesText(peer.receivedBytes))
  setText(row.receiving, rateText(received))
  setText(row.sent, bytesText(peer.sentBytes))
  setText(row.sending, rateText(sent))
}
