import type { PageLog } from '../rpc/page-protocol.ts'
import { BlockBits } from './block-bits.ts'
import { cellAt, layOutCells, type Cell, type CellLayout } from './block-cells.ts'
import { element, setText } from './dom.ts'
import { counted, countText } from './format.ts'

type Colour = readonly [red: number, green: number, blue: number]
type Colours = Readonly<Record<'held' | 'offered' | 'absent' | 'fresh' | 'cursor', Colour>>

/** How long a cell shines that something has come into. */
const FRESH_MS = 900
const GAP = 1
const STEPS: Readonly<Record<string, (layout: CellLayout) => number>> = {
  ArrowRight: () => 1,
  ArrowLeft: () => -1,
  ArrowDown: ({ columns }) => columns,
  ArrowUp: ({ columns }) => -columns,
  Home: ({ cells }) => -cells,
  End: ({ cells }) => cells
}

/**
 * Draws which blocks of a log are here, cell by cell. The pointer, or the arrow keys, tell what a cell has. The canvas
 * carries its map as `blockMap`.
 */
export class BlockMap {
  readonly element: HTMLElement
  readonly canvas = element('canvas', { attributes: { role: 'img', tabindex: '0' } })
  readonly #note = element('p', { class: 'note', attributes: { 'aria-live': 'polite' } })
  readonly #swatches: Readonly<Record<keyof Colours, HTMLElement>>
  readonly #fresh = new Map<number, number>()
  #bits: BlockBits | undefined
  #layout: CellLayout | undefined
  #cells: readonly Cell[] = []
  #what: PageLog['what'] = 'content'
  #cursor: number | undefined
  #isFading = false

  constructor() {
    const swatch = (name: string): HTMLElement => element('i', { class: `swatch ${name}` })
    const names = ['held', 'offered', 'absent', 'fresh', 'cursor'] as const
    this.#swatches = Object.fromEntries(names.map((name) => [name, swatch(name)])) as Record<
      keyof Colours,
      HTMLElement
    >
    const { held, offered, absent, fresh, cursor } = this.#swatches
    const entry = (sign: HTMLElement, text: string): HTMLElement =>
      element('span', { children: [sign, element('span', { text })] })
    const legend = element('div', {
      class: 'legend',
      children: [
        entry(held, 'here'),
        entry(fresh, 'has just come'),
        entry(offered, 'at a connected peer'),
        entry(absent, 'at nobody who is connected'),
        cursor
      ]
    })
    this.element = element('div', { class: 'map', children: [this.canvas, legend, this.#note] })
    Object.assign(this.canvas, { blockMap: this })
    new ResizeObserver(() => this.redraw()).observe(this.element)
    this.canvas.addEventListener('pointermove', (event) => this.#point(event))
    this.canvas.addEventListener('pointerleave', () => this.#moveTo(undefined))
    this.canvas.addEventListener('blur', () => this.#moveTo(undefined))
    this.canvas.addEventListener('keydown', (event) => this.#step(event))
  }

  /** Which block is shown as what, for tests: a character a block. */
  get shown(): string {
    const bits = this.#bits
    if (bits === undefined) return ''
    return Array.from({ length: bits.blocks }, (_, block) =>
      bits.isHeld(block) ? '#' : bits.isOffered(block) ? 'o' : '.'
    ).join('')
  }

  /** Where its cells are. */
  get layout(): CellLayout | undefined {
    return this.#layout
  }

  update(log: PageLog): void {
    const before = this.#bits?.blocks === log.blocks ? this.#cells : []
    this.#bits = new BlockBits(log)
    this.#what = log.what
    this.#lay()
    const nowMs = performance.now()
    if (before.length === this.#cells.length && !isStill()) {
      this.#cells.forEach(({ held }, n) => {
        if (held > (before[n]?.held ?? held)) this.#fresh.set(n, nowMs)
      })
    }
    const held = this.#cells.reduce((sum, cell) => sum + cell.held, 0)
    this.canvas.setAttribute(
      'aria-label',
      `Block map of the ${log.what}: ${countText(held)} of ${counted(log.blocks, 'block')} are here. Arrow keys tell of single cells.`
    )
    this.#draw()
    this.#tell()
  }

  /** After the size or the theme has changed. */
  redraw(): void {
    if (this.#bits === undefined) return
    this.#lay()
    this.#draw()
    this.#tell()
  }

  #lay(): void {
    const bits = this.#bits
    if (bits === undefined) return
    const layout = layOutCells(bits.blocks, this.element.clientWidth)
    if (layout.cells !== this.#layout?.cells) this.#fresh.clear()
    this.#layout = layout
    this.#cells = Array.from({ length: layout.cells }, (_, cell) => cellAt(bits, layout, cell))
  }

  #draw(): void {
    const [layout, context] = [this.#layout, this.canvas.getContext('2d')]
    if (layout === undefined || context === null) return
    const { columns, rows, pitch } = layout
    const scale = window.devicePixelRatio
    const [width, height] = [columns * pitch, rows * pitch]
    this.canvas.width = Math.round(width * scale)
    this.canvas.height = Math.round(height * scale)
    this.canvas.style.width = `${width}px`
    this.canvas.style.height = `${height}px`
    context.scale(scale, scale)
    const colours = this.#colours()
    const nowMs = performance.now()
    this.#cells.forEach((cell, n) => {
      const [x, y] = [(n % columns) * pitch, Math.floor(n / columns) * pitch]
      context.fillStyle = css(this.#colourOf(cell, n, colours, nowMs))
      context.beginPath()
      context.roundRect(x, y, pitch - GAP, pitch - GAP, pitch >= 8 ? 2 : 1)
      context.fill()
      if (n !== this.#cursor) return
      context.strokeStyle = css(colours.cursor)
      context.lineWidth = 2
      context.strokeRect(x, y, pitch - GAP, pitch - GAP)
    })
    if (this.#fresh.size === 0 || this.#isFading) return
    this.#isFading = true
    requestAnimationFrame(() => {
      this.#isFading = false
      this.#draw()
    })
  }

  #colourOf({ blocks, held, offered }: Cell, n: number, colours: Colours, nowMs: number): Colour {
    const absent = mix(colours.absent, colours.offered, offered / Math.max(1, blocks - held))
    const plain = mix(absent, colours.held, held / blocks)
    const since = this.#fresh.get(n)
    if (since === undefined) return plain
    const age = (nowMs - since) / FRESH_MS
    if (age >= 1) this.#fresh.delete(n)
    return age >= 1 ? plain : mix(colours.fresh, plain, age)
  }

  /** The theme's, from the legend. */
  #colours(): Colours {
    const entries = Object.entries(this.#swatches).map(([name, swatch]) => {
      const [red = 0, green = 0, blue = 0] = (
        getComputedStyle(swatch).backgroundColor.match(/[\d.]+/g) ?? []
      ).map(Number)
      return [name, [red, green, blue]]
    })
    return Object.fromEntries(entries) as Colours
  }

  #point({ offsetX, offsetY }: PointerEvent): void {
    if (this.#layout === undefined) return
    const { columns, pitch } = this.#layout
    const [column, row] = [Math.floor(offsetX / pitch), Math.floor(offsetY / pitch)]
    this.#moveTo(column < columns ? row * columns + column : undefined)
  }

  #step(event: KeyboardEvent): void {
    const step = STEPS[event.key]
    if (step === undefined || this.#layout === undefined) return
    event.preventDefault()
    const from = this.#cursor ?? 0
    // The first key only shows where one is, if it does not go to the end.
    const to = this.#cursor === undefined && event.key !== 'End' ? 0 : from + step(this.#layout)
    this.#moveTo(Math.min(Math.max(to, 0), this.#layout.cells - 1))
  }

  #moveTo(cell: number | undefined): void {
    const to = cell !== undefined && cell < this.#cells.length ? cell : undefined
    if (to === this.#cursor) return
    this.#cursor = to
    this.#draw()
    this.#tell()
  }

  #tell(): void {
    setText(this.#note, this.#noteText())
  }

  #noteText(): string {
    const cell = this.#cursor === undefined ? undefined : this.#cells[this.#cursor]
    if (cell !== undefined) {
      const { firstBlock, blocks, held, offered } = cell
      if (blocks > 1) {
        const range = `${countText(firstBlock)} to ${countText(firstBlock + blocks - 1)}`
        return `Blocks ${range}: ${countText(held)} here, ${countText(offered)} at peers`
      }
      const where =
        held > 0 ? 'here' : offered > 0 ? 'at a connected peer' : 'at nobody who is connected'
      return `Block ${countText(firstBlock)}: ${where}`
    }
    const each = this.#layout?.blocksPerCell ?? 1
    const of = this.#what === 'content' ? 'content' : 'entries'
    return each === 1
      ? `Each cell is a block of the ${of}.`
      : `Each cell is ${countText(each)} blocks of the ${of}.`
  }
}

function isStill(): boolean {
  return matchMedia('(prefers-reduced-motion: reduce)').matches
}

function mix(from: Colour, to: Colour, part: number): Colour {
  const at = (n: 0 | 1 | 2): number => from[n] + (to[n] - from[n]) * part
  return [at(0), at(1), at(2)]
}

function css([red, green, blue]: Colour): string {
  return `rgb(${Math.round(red)} ${Math.round(green)} ${Math.round(blue)})`
}
