import type Hypercore from 'hypercore'
import Core, { type BlockProof, type ReplicatedCore } from 'hypercore/lib/core.js'
import { MerkleTree } from 'hypercore/lib/merkle-tree.js'
import Replicator, {
  type FulfilledRequest,
  type ReplicatingPeer
} from 'hypercore/lib/replicator.js'
import { CoreRX } from 'hypercore-storage/lib/tx.js'
import { systemErrorCode } from '../../core/errors.ts'
import { replaceMethod } from '../library-seams.ts'
import { isDamage } from '../store-error.ts'

/** What sessions that listen emit: a block does not read back, or could not be stored. */
export const DAMAGED = 'damaged-block'
export const UNSTORED = 'unstored-block'

/** Whether blocks of a log that come may be stored; others are passed on. */
const storing = new WeakMap<object, () => boolean>()

/** Has blocks of a log handed on without being stored while `mayStore` says no. They count as no trouble. */
export function limitStoring(log: Hypercore, mayStore: () => boolean): void {
  storing.set(log.core, mayStore)
}

/** A peer is told that a block is not to be had here. */
const NOT_AVAILABLE = 1

let isChanged = false

/**
 * Lets logs live with a store that loses what it had, or takes no more. hypercore believes what it once stored: a part
 * that RocksDB finds damaged fails whatever needs it, for good, and a block that cannot be stored is not given to who waits
 * for it. With this, what is damaged is not there, so that peers are asked for it and it is stored anew; a block that
 * was verified is handed on, whether it could be stored or not.
 */
export function tolerateUnsoundStores(): void {
  if (isChanged) return
  isChanged = true
  readDamagedAsAbsent()
  handOnUnstoredBlocks()
  refuseDamagedBlocks()
}

/**
 * A node of the tree that is not there comes with the next block below it; a page of the bitfield says which blocks
 * are here, and without it none of them is. Where a log begins and ends is left alone: it would begin anew.
 */
function readDamagedAsAbsent(): void {
  for (const name of ['getTreeNode', 'getBitfieldPage', 'getHints'] as const) {
    replaceMethod(`CoreRX.${name}`, CoreRX.prototype, (usual) => {
      return async function (this: object, ...args: unknown[]) {
        try {
          return await usual.apply(this, args)
        } catch (error) {
          if (isDamage(error)) return null
          throw error
        }
      }
    })
  }
}

function handOnUnstoredBlocks(): void {
  replaceMethod('Core.verify', Core.prototype, (usual) => {
    return async function (this: ReplicatedCore, proof: BlockProof, from: unknown) {
      if (proof.block && !proof.upgrade && storing.get(this)?.() === false) {
        return (await MerkleTree.verify(this.state, proof)).commitable()
      }
      try {
        const isStored = await usual.call(this, proof, from)
        addPatience(this, 1)
        return isStored
      } catch (error) {
        // hypercore asks a peer whose proof does not fit for nothing more; this one is asked again.
        if (!proof.upgrade && lacksNodes(error) && addPatience(this, -1)) return false
        if (!proof.block || proof.upgrade || !isFailedWrite(error)) throw error
        // It throws where the block is not the log's.
        const batch = await MerkleTree.verify(this.state, proof)
        if (!batch.commitable()) return false
        emit(this, UNSTORED, proof.block.index, error)
        return true
      }
    }
  })
}

function refuseDamagedBlocks(): void {
  replaceMethod('Peer._fulfillRequest', Replicator.Peer.prototype, (usual) => {
    return async function (this: ReplicatingPeer, request: FulfilledRequest, pushing: boolean) {
      try {
        await usual.call(this, request, pushing)
      } catch (error) {
        const { msg } = request
        if (!isDamage(error) && !lacksNodes(error)) throw error
        if (msg.block) emit(this.core, DAMAGED, msg.block.index, error)
        if (this.remoteRequests.delete(msg.id)) {
          this.wireNoData.send({ request: msg.id, reason: NOT_AVAILABLE })
        }
      }
    }
  })
}

/**
 * A block that is dropped takes nodes of the tree along, which proofs that are on their way were to be checked against. So
 * many may fail before a peer is to blame; each that fits makes up for one.
 */
const MOST_PATIENCE = 512
const patience = new WeakMap<ReplicatedCore, number>()

/** @returns whether some was left */
function addPatience(core: ReplicatedCore, change: 1 | -1): boolean {
  const left = (patience.get(core) ?? MOST_PATIENCE) + change
  patience.set(core, Math.max(0, Math.min(left, MOST_PATIENCE)))
  return left >= 0
}

/** What proves a block is not all there. */
function lacksNodes(error: unknown): boolean {
  return systemErrorCode(error) === 'INVALID_OPERATION'
}

function isFailedWrite(error: unknown): boolean {
  return error instanceof Error && error.message === 'Batch was not applied'
}

function emit({ monitors }: ReplicatedCore, event: string, block: number, error: unknown): void {
  for (const session of [...monitors]) session.emit(event, block, error)
}
