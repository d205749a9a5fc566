/** Reads what a daemon's page knows and draws, as it is in a browser. What runs there is text here: it has other types. */
import type { Page } from 'playwright-core'

const CANVAS = `document.querySelector('.map canvas')`

/** A character a block, as the page knows it: `#` here, `o` at a connected peer, `.` else; nothing where there is no map. */
export function shownIn(page: Page): Promise<string> {
  return page.evaluate<string>(`${CANVAS}?.blockMap.shown ?? ''`)
}

/** The same as it is drawn, by the colours of the legend: `?` for any other. Needs a cell for each block. */
export function drawnIn(page: Page): Promise<string> {
  return page.evaluate<string>(`(() => {
    const canvas = ${CANVAS}
    const { columns, pitch, cells, blocksPerCell } = canvas.blockMap.layout
    if (blocksPerCell !== 1) throw new Error('cells have several blocks')
    const signs = new Map(
      [['held', '#'], ['offered', 'o'], ['absent', '.']].map(([name, sign]) => {
        const swatch = document.querySelector('.map .swatch.' + name)
        return [getComputedStyle(swatch).backgroundColor, sign]
      })
    )
    return Array.from({ length: cells }, (_, cell) => {
      const x = ((cell % columns) + 0.5) * pitch * devicePixelRatio
      const y = (Math.floor(cell / columns) + 0.5) * pitch * devicePixelRatio
      const [red, green, blue] = canvas.getContext('2d').getImageData(x, y, 1, 1).data
      return signs.get('rgb(' + [red, green, blue].join(', ') + ')') ?? '?'
    }).join('')
  })()`)
}

/** The colour of the first cell, as it is drawn. */
export function firstCellIn(page: Page): Promise<string> {
  return page.evaluate<string>(`(() => {
    const canvas = ${CANVAS}
    const middle = (canvas.blockMap.layout.pitch / 2) * devicePixelRatio
    return String(canvas.getContext('2d').getImageData(middle, middle, 1, 1).data)
  })()`)
}

/** The colour behind everything. */
export function groundIn(page: Page): Promise<string> {
  return page.evaluate<string>(`getComputedStyle(document.documentElement).backgroundColor`)
}

/** What has the focus: its id, name, text or kind. */
export function focusIn(page: Page): Promise<string> {
  return page.evaluate<string>(`(() => {
    const at = document.activeElement
    return at.id || at.querySelector('.item-name')?.textContent || at.textContent || at.tagName
  })()`)
}

/** How the element with the focus is outlined. */
export function outlineIn(page: Page): Promise<string> {
  return page.evaluate<string>(`getComputedStyle(document.activeElement).outlineStyle`)
}

/** What the browser says to markup that is made of text. */
export function markupIn(page: Page): Promise<string> {
  return page.evaluate<string>(`(() => {
    try {
      document.body.innerHTML = '<b>x</b>'
      return 'taken'
    } catch (error) {
      return String(error)
    }
  })()`)
}

/** Has the page believe that it is in the background, or is not. */
export async function hide(page: Page, isHidden: boolean): Promise<void> {
  await page.evaluate(`
    Object.defineProperty(document, 'hidden', { value: ${isHidden}, configurable: true })
    document.dispatchEvent(new Event('visibilitychange'))
  `)
}
