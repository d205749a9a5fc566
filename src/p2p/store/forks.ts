import Core, { type ConflictProof, type ReplicatedCore } from 'hypercore/lib/core.js'
import { replaceMethod } from '../library-seams.ts'

/** Logs whose peers were told. */
const told = new WeakSet<ReplicatedCore>()

/**
 * A log has forked when its key has signed two histories of it: a publisher lost the end of its log, as to a backup
 * that was restored, and published on. hypercore closes such a log while it is read, and every later
 * use of it fails. This keeps it: what is here is read and served as before, nothing is taken from a peer that has the
 * other history, and sessions emit `conflict`. That peer is sent the proof that it needs to see the same.
 */
export function keepForkedLogs(): void {
  replaceMethod('Core._onconflict', Core.prototype, () => onConflict)
}

async function onConflict(this: ReplicatedCore, proof: ConflictProof): Promise<void> {
  // While it is frozen, nothing is served.
  this.header.frozen = false
  for (const session of [...this.monitors]) {
    session.emit('conflict', proof.upgrade.length, proof.fork, proof)
  }
  // Once: each side would answer the other's proof for ever.
  if (told.has(this)) return
  told.add(this)
  const { fork, length } = this.state
  await Promise.allSettled(
    this.replicator.peers
      .filter(({ remoteFork, remoteLength }) => remoteFork === fork && remoteLength > 0)
      .map((peer) => {
        const upgrade = { start: 0, length: Math.min(length, peer.remoteLength) }
        return peer.onrequest({ id: 0, fork, block: null, hash: null, seek: null, upgrade })
      })
  )
}
