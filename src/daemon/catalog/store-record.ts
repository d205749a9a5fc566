import { statSync } from 'node:fs'
import { writeFileAtomically } from '../../core/atomic-file.ts'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { readRecord } from '../../core/json-file.ts'
import * as v from 'valibot'
import { hex256, type RecordFormat } from '../../core/record-format.ts'

const FORMAT = 1

interface StoreDocument {
  readonly format: number
  /** The seed of the keys of this home's own images, hex. */
  readonly seed: string
  /** Inode number and time of birth of the store's directory: a copy of it has others. */
  readonly directory: string
  /** Whether the daemon that had it open last has closed it. */
  readonly closed: boolean
}

const STORE_RECORD: RecordFormat<StoreDocument> = {
  field: 'format',
  version: FORMAT,
  shape: v.looseObject({
    format: v.literal(FORMAT),
    seed: hex256,
    directory: v.string(),
    closed: v.boolean()
  })
}

export interface RecordPaths {
  readonly store: string
  readonly storeRecord: string
}

/**
 * A record about the store that lies outside of it. It has the seed, without which nobody could add a version to
 * this home's images if the store were lost, and whether the end of what was written may be missing.
 */
export class StoreRecord {
  /** The seed that the store had; undefined where none is noted. */
  readonly seed: Buffer | undefined
  /**
   * Whether the store is as it was left: closed by the daemon that had it open, and not a copy, as from a backup. Where it
   * is not, peers may know more of this home's own images than it does.
   */
  readonly isAsLeft: boolean
  readonly #paths: RecordPaths

  private constructor(paths: RecordPaths, document: StoreDocument | undefined) {
    this.#paths = paths
    this.seed = document && Buffer.from(document.seed, 'hex')
    this.isAsLeft = document?.closed === true && document.directory === identityOf(paths.store)
  }

  /** @throws ContainerError `IO`, `UNSUPPORTED_VERSION` */
  static async read(paths: RecordPaths): Promise<StoreRecord> {
    return new StoreRecord(paths, await readDocument(paths.storeRecord))
  }

  /** Notes that the store is open. @throws ContainerError `DISK_FULL`, `IO` */
  noteOpened(seed: Buffer): Promise<void> {
    return this.#write(seed, false)
  }

  /** Notes that the store was closed. @throws ContainerError `DISK_FULL`, `IO` */
  noteClosed(seed: Buffer): Promise<void> {
    return this.#write(seed, true)
  }

  async #write(seed: Buffer, closed: boolean): Promise<void> {
    const document: StoreDocument = {
      format: FORMAT,
      seed: seed.toString('hex'),
      directory: identityOf(this.#paths.store),
      closed
    }
    await writeFileAtomically(this.#paths.storeRecord, `${JSON.stringify(document)}\n`)
  }
}

async function readDocument(path: string): Promise<StoreDocument | undefined> {
  const found = await readRecord(path, STORE_RECORD)
  if (found.kind === 'record') return found.record
  if (found.kind === 'damaged' && systemErrorCode(found.cause) !== undefined) {
    throw new ContainerError('IO', `cannot read ${path}`, { cause: found.cause })
  }
  // A damaged one says no less than none at all: the store is asked, and it is written anew.
  if (found.kind !== 'later') return undefined
  throw new ContainerError('UNSUPPORTED_VERSION', `${path} is of a later release`, {
    hint: 'use that release, or another --home'
  })
}

function identityOf(directory: string): string {
  const { ino, birthtimeNs } = statSync(directory, { bigint: true })
  return `${ino} ${birthtimeNs}`
}
