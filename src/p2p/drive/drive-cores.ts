import type Corestore from 'corestore'
import Hyperbee from 'hyperbee'
import type Hypercore from 'hypercore'
import Hyperdrive from 'hyperdrive'
import { ContainerError } from '../../core/errors.ts'
import { pause, untilAborted } from '../../core/abort.ts'

/** Requests in flight a peer: many small blocks keep a long link busy; our own windows bound it. */
const INFLIGHT_RANGE: [number, number] = [64, 512]
const EMPTY_UPDATE_PAUSE_MS = 50
/** What the header of every Hyperbee says. */
const BEE_PROTOCOL = 'hyperbee'

/** The two logs of a Hyperdrive: `db` holds its entries, `blobs` the content. */
export interface DriveCores {
  readonly db: Hypercore
  readonly blobs: Hypercore
}

export interface OpenCoresOptions {
  readonly store: Corestore
  readonly key: Buffer
  /** The drive's encryption key; undefined opens the logs blind. */
  readonly secret: Buffer | undefined
  /** Aborted when nobody may wait any longer. */
  readonly signal: AbortSignal
  /** Called when a peer that has the drive is connected. */
  readonly onPeer?: () => void
}

/**
 * Opens both logs of a drive and waits until something of each is known, here or from peers. The
 * caller has joined the drive's topic. Not a Hyperdrive instance: that wants to be the only one of
 * its key in the process, while sessions of the logs may be many.
 *
 * @throws ContainerError `NOT_AN_IMAGE` for a log that is no drive; the signal's reason
 */
export async function openDriveCores(options: OpenCoresOptions): Promise<DriveCores> {
  const { store, key, secret, signal } = options
  const encryptionKey = secret ?? null
  const opened: Hypercore[] = []
  try {
    const db = store.get({ key, encryptionKey })
    opened.push(db)
    if (options.onPeer) db.once('peer-add', options.onPeer)
    await db.ready()
    await knowSome(db, signal)
    const contentKey = db.manifest && Hyperdrive.getContentKey(db.manifest, db.key)
    if (!contentKey) {
      throw new ContainerError('NOT_AN_IMAGE', 'the link points to a log that is not a drive')
    }
    const blobs = store.get({ key: contentKey, encryptionKey, inflightRange: INFLIGHT_RANGE })
    opened.push(blobs)
    await blobs.ready()
    await knowSome(blobs, signal)
    return { db, blobs }
  } catch (error) {
    await Promise.allSettled(opened.map((core) => core.close()))
    throw error
  }
}

/**
 * Checks that the secret opens the drive, by the header in its first entry block.
 *
 * @throws ContainerError `WRONG_SECRET`; the signal's reason
 */
export async function checkHeader(db: Hypercore, signal: AbortSignal): Promise<void> {
  // The bee is only borrowed for its header: closing it would close the log's session.
  const bee = new Hyperbee(db, { keyEncoding: 'utf-8', valueEncoding: 'json' })
  try {
    const header = await untilAborted(bee.getHeader(), signal)
    // Noise now and then decodes: only the right key makes it say this.
    if (header?.protocol === BEE_PROTOCOL) return
    if (header) throw new Error('the header decodes to noise')
  } catch (cause) {
    if (signal.aborted) throw cause
    throw new ContainerError('WRONG_SECRET', 'the secret in this link does not open this image', {
      hint: 'copy the whole link again: the part after # belongs to the part before it',
      cause
    })
  }
  throw new ContainerError('NOT_AN_IMAGE', 'the drive has no header')
}

export async function closeDriveCores(cores: DriveCores): Promise<void> {
  await Promise.allSettled([cores.db.close(), cores.blobs.close()])
}

/** Waits until something of a log is known, here or from peers. @throws the signal's reason */
export async function knowSome(core: Hypercore, signal: AbortSignal): Promise<void> {
  while (core.length === 0) {
    // oxlint-disable-next-line no-unnecessary-condition -- length changes while we wait
    const grew = await untilAborted(core.update({ wait: true }), signal)
    if (!grew && core.length === 0) await pause(EMPTY_UPDATE_PAUSE_MS, signal)
    signal.throwIfAborted()
  }
}
