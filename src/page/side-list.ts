import { setChildren } from './dom.ts'

/** An entry of a list, which is a link. */
export interface SideItem {
  readonly element: HTMLAnchorElement
}

/**
 * A list of links at the side. Tab enters it once, and arrow keys move within it. Entries are kept while what they show is
 * there, and so is the focus.
 */
export class SideList<Thing> {
  readonly #list: HTMLElement
  readonly #make: (thing: Thing) => SideItem
  readonly #update: (item: SideItem, thing: Thing) => void
  #items = new Map<string, SideItem>()

  constructor(
    list: HTMLElement,
    make: (thing: Thing) => SideItem,
    update: (item: SideItem, thing: Thing) => void
  ) {
    this.#list = list
    this.#make = make
    this.#update = update
    list.addEventListener('keydown', (event) => this.#step(event))
  }

  /** @param current address of the one that is shown */
  show(things: readonly (readonly [id: string, thing: Thing])[], current: string): void {
    this.#items = new Map(
      things.map(([id, thing]) => {
        const item = this.#items.get(id) ?? this.#make(thing)
        this.#update(item, thing)
        return [id, item]
      })
    )
    const links = [...this.#items.values()].map(({ element }) => element)
    const shown = links.find((link) => link.hash === current)
    for (const link of links) {
      if (link === shown) link.setAttribute('aria-current', 'page')
      else link.removeAttribute('aria-current')
      link.tabIndex = link === (shown ?? links[0]) ? 0 : -1
    }
    const rows = links.map((link) => {
      if (link.parentElement !== null) return link.parentElement
      const row = document.createElement('li')
      row.append(link)
      return row
    })
    setChildren(this.#list, rows)
  }

  #step(event: KeyboardEvent): void {
    const links = [...this.#items.values()].map(({ element }) => element)
    const at = links.findIndex((link) => link === document.activeElement)
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: links.length - 1 }[event.key]
    const next = to === undefined || to < 0 ? undefined : links[to]
    if (at < 0 || next === undefined) return
    event.preventDefault()
    next.focus()
  }
}
