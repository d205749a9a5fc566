import type { DriveCores } from '../../p2p/drive/drive-cores.ts'
import type { PageLog } from '../../rpc/page-protocol.ts'

const BITS = 8

/** Says which blocks of a log are in the store, and which of the others a connected peer has. */
export function logBits(what: PageLog['what'], log: DriveCores['blobs']): PageLog {
  const { core, length, peers } = log
  const held = Buffer.alloc(Math.ceil(length / BITS))
  const offered = Buffer.alloc(held.length)
  for (let block = 0; block < length; block++) {
    if (core.bitfield.get(block)) set(held, block)
    else if (peers.some((peer) => peer._remoteHasBlock(block))) set(offered, block)
  }
  return {
    what,
    blocks: length,
    held: held.toString('base64'),
    offered: offered.toString('base64')
  }
}

function set(bits: Buffer, bit: number): void {
  const at = Math.floor(bit / BITS)
  bits[at] = (bits[at] ?? 0) | (1 << (bit % BITS))
}
