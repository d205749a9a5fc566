import { printable } from '../core/safe-text.ts'

interface Parts {
  readonly class?: string
  /** Shown as text, never as markup; what turns text around or breaks the line is replaced. */
  readonly text?: string
  readonly attributes?: Readonly<Record<string, string>>
  readonly children?: readonly Node[]
}

/** Makes an element. */
export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  { class: classes, text, attributes = {}, children = [] }: Parts = {}
): HTMLElementTagNameMap[Tag] {
  const made = document.createElement(tag)
  if (classes !== undefined) made.className = classes
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  if (text !== undefined) made.textContent = printable(text)
  made.append(...children)
  return made
}

const SVG = 'http://www.w3.org/2000/svg'

/** Makes an element of a drawing. */
export function drawing<Tag extends keyof SVGElementTagNameMap>(
  tag: Tag,
  attributes: Readonly<Record<string, string>>,
  children: readonly Node[] = []
): SVGElementTagNameMap[Tag] {
  const made = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

/** Sets the text of an element, which is touched only where that changes. */
export function setText(node: Element, text: string): void {
  const safe = printable(text)
  if (node.textContent !== safe) node.textContent = safe
}

/** Has exactly these children, in this order; those that stay where they are keep their focus. */
export function setChildren(parent: Element, children: readonly Element[]): void {
  children.forEach((child, n) => {
    if (parent.children[n] !== child) parent.insertBefore(child, parent.children[n] ?? null)
  })
  while (parent.children.length > children.length) parent.lastElementChild?.remove()
}

/** @throws TypeError where `index.html` has no such element */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id)
  if (found === null) throw new TypeError(`no element ${id}`)
  return found
}
