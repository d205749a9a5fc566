import type { BlockBits } from './block-bits.ts'

/** One cell of a block map. */
export interface Cell {
  readonly firstBlock: number
  readonly blocks: number
  readonly held: number
  readonly offered: number
}

/** Where the cells of a block map are. Lengths are in CSS pixels. */
export interface CellLayout {
  readonly columns: number
  readonly rows: number
  readonly cells: number
  readonly blocksPerCell: number
  /** From one cell to the next. */
  readonly pitch: number
}

const PITCHES = [16, 14, 12, 10, 9, 8, 7, 6, 5]
const LEAST_PITCH = 5
const MOST_HEIGHT = 240

/** Chooses the largest cells with which all blocks fit; with more blocks, several share one of the smallest. */
export function layOutCells(blocks: number, width: number): CellLayout {
  const columnsAt = (pitch: number): number => Math.max(1, Math.floor(width / pitch))
  const roomAt = (pitch: number): number => columnsAt(pitch) * Math.floor(MOST_HEIGHT / pitch)
  const pitch = PITCHES.find((pitch) => roomAt(pitch) >= blocks) ?? LEAST_PITCH
  const blocksPerCell = Math.max(1, Math.ceil(blocks / roomAt(pitch)))
  const cells = Math.ceil(blocks / blocksPerCell)
  const columns = columnsAt(pitch)
  return { columns, rows: Math.ceil(cells / columns), cells, blocksPerCell, pitch }
}

export function cellAt(bits: BlockBits, { blocksPerCell }: CellLayout, cell: number): Cell {
  const firstBlock = cell * blocksPerCell
  const blocks = Math.min(blocksPerCell, bits.blocks - firstBlock)
  let [held, offered] = [0, 0]
  for (let block = firstBlock; block < firstBlock + blocks; block++) {
    if (bits.isHeld(block)) held++
    else if (bits.isOffered(block)) offered++
  }
  return { firstBlock, blocks, held, offered }
}
