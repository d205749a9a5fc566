import test from 'brittle'
import { BlockPacker, MAX_BLOCK_BYTES } from '../../../src/image/chunk/block-packer.ts'

void test('small chunks share a block until the next one would not fit', (t) => {
  const packer = new BlockPacker()
  const places = [100, MAX_BLOCK_BYTES - 100, 1, 5, MAX_BLOCK_BYTES, 7].map((bytes) =>
    packer.add(bytes)
  )
  t.alike(places, [
    { block: 0, offset: 0 },
    { block: 0, offset: 100 },
    { block: 1, offset: 0 },
    { block: 1, offset: 1 },
    { block: 2, offset: 0 },
    { block: 3, offset: 0 }
  ])
  t.alike(packer.lengths, [MAX_BLOCK_BYTES, 6, MAX_BLOCK_BYTES, 7])
})
