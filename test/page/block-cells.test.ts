import test from 'brittle'
import { BlockBits } from '../../src/page/block-bits.ts'
import { cellAt, layOutCells } from '../../src/page/block-cells.ts'

const MOST_HEIGHT = 240

function bitsOf(blocks: number, isHeld: (block: number) => boolean): BlockBits {
  const bytes = Buffer.alloc(Math.ceil(blocks / 8))
  for (let block = 0; block < blocks; block++) {
    if (isHeld(block)) bytes[block >> 3] = bytes[block >> 3]! | (1 << (block & 7))
  }
  const none = Buffer.alloc(bytes.length).toString('base64')
  return new BlockBits({ what: 'content', blocks, held: bytes.toString('base64'), offered: none })
}

void test('each block is in one cell, and all cells have room, however many there are', (t) => {
  for (const blocks of [1, 40, 1_477, 11_519, 11_521, 300_000, 2_000_000]) {
    for (const width of [320, 900]) {
      const bits = bitsOf(blocks, (block) => block % 3 === 0)
      const layout = layOutCells(blocks, width)
      const { columns, rows, cells, pitch, blocksPerCell } = layout
      const all = Array.from({ length: cells }, (_, n) => cellAt(bits, layout, n))
      const what = `${blocks} blocks in ${width} px: ${cells} cells of ${blocksPerCell}`
      t.ok(columns * pitch <= width && rows * pitch <= MOST_HEIGHT, what)
      t.ok(columns * rows >= cells && columns * (rows - 1) < cells, `${rows} rows`)
      t.is(
        all.reduce((sum, cell) => sum + cell.blocks, 0),
        blocks
      )
      t.is(
        all.reduce((sum, cell) => sum + cell.held, 0),
        Math.ceil(blocks / 3)
      )
      t.ok(
        all.every((cell, n) => cell.blocks > 0 && cell.firstBlock === n * blocksPerCell),
        'they are in order'
      )
    }
  }
})
