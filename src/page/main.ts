/** The page of a daemon, in a browser: what it has, and what it exchanges with whom. It only shows. */
import type { PageImage, PageStartSummary, PageView } from '../rpc/page-protocol.ts'
import { byId, element, setChildren, setText } from './dom.ts'
import { bytesText, counted, percentText, rateText, secondsText } from './format.ts'
import { ImagePage } from './image-page.ts'
import { keptToken, takeToken } from './link-token.ts'
import { notice } from './notice.ts'
import { Poll, type Standing } from './poll.ts'
import { RatesOf } from './rates.ts'
import { SideList } from './side-list.ts'
import { startPage } from './start-page.ts'
import { addThemeSwitch } from './theme-switch.ts'

const STANDINGS: Readonly<Record<Standing, string>> = {
  asking: 'asking the daemon',
  live: 'live',
  locked: 'locked',
  gone: 'the daemon does not answer'
}

const main = byId('main')
const images = new SideList<PageImage>(byId('images'), makeImageLink, updateImageLink)
const starts = new SideList<PageStartSummary>(byId('starts'), makeStartLink, () => {})
const rates = new RatesOf()
/** By the ids of image and peer: what a peer sends of one image is not what it sends of another. */
const peerRates = new RatesOf()
let view: PageView | undefined
let standing: Standing = 'asking'
/** What is shown at the moment, and its address. */
let shown: { readonly hash: string; readonly page: ImagePage | undefined } | undefined

const given = takeToken()
const poll = new Poll(given ?? keptToken(), {
  onView: (received) => {
    view = received
    show()
  },
  onStanding: (reached) => {
    if (reached === standing) return
    standing = reached
    show()
  }
})

addEventListener('hashchange', () => {
  const token = takeToken()
  if (token !== undefined) poll.unlock(token)
  show()
})
byId('skip').addEventListener('click', () => main.focus())
addThemeSwitch(byId('themes'), () => shown?.page?.redraw())
show()
void poll.run()

function show(): void {
  setText(byId('state'), STANDINGS[standing])
  document.body.dataset['standing'] = standing
  const known = standing === 'locked' ? undefined : view
  byId('side').hidden = known === undefined
  if (known === undefined) showNotice()
  else showView(known)
}

function showView(view: PageView): void {
  const { daemon, nowMs, detail } = view
  setText(byId('home'), `${daemon.home} · ${bytesText(daemon.disk.usedBytes)} of disk`)
  rates.add(new Map(view.images.map((image) => [image.id, { atMs: nowMs, ...bytesOf(image) }])))
  peerRates.add(
    new Map(
      detail?.peers.map((peer) => [
        `${detail.id} ${peer.key}`,
        { atMs: nowMs, ...bytesOf(peer) }
      ]) ?? []
    )
  )
  const current = currentHash(view)
  setText(
    byId('images-title'),
    view.images.length === 0 ? 'Images' : counted(view.images.length, 'image')
  )
  images.show(
    view.images.map((image) => [image.id, image]),
    current
  )
  byId('starts-title').hidden = view.starts.length === 0
  starts.show(
    view.starts.map((start) => [start.id, start]),
    current
  )
  showMain(view, current)
}

function showMain({ images, starts, start, detail, nowMs }: PageView, current: string): void {
  const image = images.find(({ id }) => imageHash(id) === current)
  const chosen = starts.find(({ id }) => startHash(id) === current)
  if (image !== undefined) {
    poll.select('image', image.id)
    const page = (shown?.hash === current ? shown.page : undefined) ?? new ImagePage(image)
    if (shown?.page !== page) setMain(current, page.element, page)
    page.update(image, detail, { nowMs, rates: rates.of(image.id), peerRates })
    document.title = `${image.name} – dat-container`
  } else if (chosen !== undefined) {
    poll.select('start', chosen.id)
    // It comes with the next view, where another one was asked for before.
    if (start?.container !== chosen.container || start.at !== chosen.at) return
    if (shown?.hash !== current) setMain(current, startPage(start))
    document.title = `${start.container} – dat-container`
  } else if (shown?.hash !== current) {
    const none = notice(
      'No images yet',
      'Publish a directory, or boot what somebody has given you a link of. It appears here.',
      'dat-container share ./rootfs',
      "dat-container boot 'dat://…'"
    )
    setMain(current, none)
    document.title = 'dat-container'
  }
}

function showNotice(): void {
  const hash = `:${standing}`
  if (shown?.hash === hash) return
  if (standing === 'locked') {
    const text =
      'Print the address of this page again, and open it. It changes with each start of the daemon, so that only you can see what is here.'
    setMain(hash, notice('This page is locked', text, 'dat-container daemon ui'))
  } else if (standing === 'gone') {
    const text = 'It may have been stopped. The page goes on by itself when it is back.'
    setMain(hash, notice('The daemon does not answer', text, 'dat-container daemon start --ui'))
  } else setMain(hash, element('p', { class: 'empty', text: 'Asking the daemon…' }))
}

function setMain(hash: string, content: Element, page?: ImagePage): void {
  shown = { hash, page }
  setChildren(main, [content])
}

/** The address of what is to be shown: the first image, where it names nothing that is there. */
function currentHash({ images, starts }: PageView): string {
  const known = [...images.map(({ id }) => imageHash(id)), ...starts.map(({ id }) => startHash(id))]
  return known.find((hash) => hash === location.hash) ?? known[0] ?? '#/'
}

function imageHash(id: string): string {
  return `#/image/${encodeURIComponent(id)}`
}

function startHash(id: string): string {
  return `#/start/${encodeURIComponent(id)}`
}

function bytesOf({ sentBytes, receivedBytes }: { sentBytes: number; receivedBytes: number }): {
  sentBytes: number
  receivedBytes: number
} {
  return { sentBytes, receivedBytes }
}

function makeImageLink({ id, key }: PageImage): { element: HTMLAnchorElement } {
  const bar = element('span', {
    class: 'bar',
    attributes: { 'aria-hidden': 'true' },
    children: [element('span', { class: 'bar-held' })]
  })
  const link = element('a', {
    attributes: { href: imageHash(id), title: key },
    children: [
      element('span', { class: 'item-name' }),
      bar,
      element('span', { class: 'item-more' })
    ]
  })
  return { element: link }
}

function updateImageLink(
  { element: link }: { element: HTMLAnchorElement },
  image: PageImage
): void {
  const { name, blocksHeld, blocksKnown, peers } = image
  const [nameText, bar, more] = link.children
  if (nameText) setText(nameText, name)
  const held = bar?.firstElementChild
  if (held instanceof HTMLElement)
    held.style.width = blocksKnown === 0 ? '0' : `${(100 * blocksHeld) / blocksKnown}%`
  const { sent, received } = rates.of(image.id).current
  const moving =
    received >= sent ? [`${rateText(received)} in`, received] : [`${rateText(sent)} out`, sent]
  const texts = [percentText(blocksHeld, blocksKnown), counted(peers, 'peer')]
  if (Number(moving[1]) >= 1) texts.push(String(moving[0]))
  if (more) setText(more, texts.join(' · '))
}

function makeStartLink(start: PageStartSummary): { element: HTMLAnchorElement } {
  const link = element('a', {
    attributes: { href: startHash(start.id) },
    children: [
      element('span', { class: 'item-name', text: start.container }),
      element('span', {
        class: 'item-more',
        text: `${secondsText(start.totalMs)} · ${start.image}`
      })
    ]
  })
  return { element: link }
}
