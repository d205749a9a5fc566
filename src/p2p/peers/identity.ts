import { createHash, randomBytes } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import DHT, { type KeyPair } from 'hyperdht'
import { AtomicFile } from '../../core/atomic-file.ts'
import * as v from 'valibot'
import { decodeRecord, hex256, port, type RecordFormat } from '../../core/record-format.ts'

const FORMAT = 1
const MACHINE_ID = '/etc/machine-id'

/** What peers know a home by, from one start of its daemon to the next. */
export interface Identity {
  /** Its key pair is made of this; 32 bytes. */
  readonly seed: Buffer
  /** Ports that it had when it last ran, where peers look for it first; undefined before it first ran. */
  readonly tcpPort?: number | undefined
  readonly udpPort?: number | undefined
  /** Whether it is not written yet. */
  readonly isNew?: boolean
}

interface Document {
  readonly format: number
  readonly seed: string
  readonly tcpPort?: number | undefined
  readonly udpPort?: number | undefined
  /** Inode of the file itself. */
  readonly inode: string
  readonly machine: string
}

/** A port that cannot be used is none. */
const keptPort = v.fallback(v.optional(port), undefined)

const IDENTITY: RecordFormat<Document> = {
  field: 'format',
  version: FORMAT,
  shape: v.looseObject({
    format: v.literal(FORMAT),
    seed: hex256,
    tcpPort: keptPort,
    udpPort: keptPort,
    inode: v.string(),
    machine: v.string()
  })
}

export function keyPairOf({ seed }: Identity): KeyPair {
  return DHT.keyPair(seed)
}

/**
 * Reads a home's identity, or makes one that is not written yet. Two daemons of one key would take each other's
 * place at every peer, so a copy is told from the original by its inode number and the machine's id, and gets an identity
 * of its own. So does a home whose file is damaged: nothing but a quick return depends on it.
 */
export async function readIdentity(path: string | undefined): Promise<Identity> {
  try {
    if (path === undefined) throw new Error('it is not kept')
    const { ino } = await stat(path, { bigint: true })
    const found = decodeRecord(await readFile(path, 'utf8'), IDENTITY)
    if (found.kind === 'record') {
      const { inode, machine: of, seed, tcpPort, udpPort } = found.record
      const isOurs = inode === String(ino) && of === (await machine())
      if (isOurs) return { seed: Buffer.from(seed, 'hex'), tcpPort, udpPort }
    }
  } catch {
    // There is none, or none that can be used.
  }
  return { seed: randomBytes(32), isNew: true }
}

/**
 * Reads a home's identity, and keeps one that was made. The caller sees to it that nobody else makes one.
 *
 * @throws ContainerError `DISK_FULL`, `IO`
 */
export async function readOrMakeIdentity(path: string): Promise<Identity> {
  const found = await readIdentity(path)
  if (!found.isNew) return found
  await writeIdentity(path, found)
  return found
}

/**
 * Keeps an identity for the next start, 0600, whole or not at all.
 *
 * @throws ContainerError `DISK_FULL`, `IO`
 */
export async function writeIdentity(path: string, identity: Identity): Promise<void> {
  await using file = await AtomicFile.create(path)
  const document: Document = {
    format: FORMAT,
    seed: identity.seed.toString('hex'),
    ...(identity.tcpPort !== undefined && { tcpPort: identity.tcpPort }),
    ...(identity.udpPort !== undefined && { udpPort: identity.udpPort }),
    inode: await file.inode(),
    machine: await machine()
  }
  await file.write(`${JSON.stringify(document, null, 2)}\n`)
  await file.commit()
}

/** A hash of what tells machines apart: that itself is not to be told. */
async function machine(): Promise<string> {
  const id = await readFile(MACHINE_ID, 'utf8').catch(() => '')
  return createHash('sha256').update(`dat-container ${id.trim()}`).digest('hex').slice(0, 16)
}
