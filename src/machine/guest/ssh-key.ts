import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { writeFileAtomically } from '../../core/atomic-file.ts'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { takeLock } from '../../core/host/kernel-lock.ts'

const KEY_TYPE = 'ssh-ed25519'
const KEY_BYTES = 32
/** Unencrypted private keys are padded to this, PROTOCOL.key of OpenSSH. */
const BLOCK_BYTES = 8
const LINE_CHARACTERS = 70
const LOCK_WAIT_MS = 10_000

/** A key pair as OpenSSH keeps it. */
export interface SshKeyPair {
  /** Text of the private key's file. */
  readonly privateKey: string
  /** A line of an authorized_keys file, without its end. */
  readonly publicKey: string
}

/**
 * Makes an Ed25519 key pair in the openssh-key-v1 format (PROTOCOL.key of OpenSSH), which every
 * OpenSSH reads; it does not read every PKCS#8 that Node.js writes.
 */
export function makeSshKey(comment: string): SshKeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  // Both DER forms end with the bare key.
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-KEY_BYTES)
  const point = publicKey.export({ format: 'der', type: 'spki' }).subarray(-KEY_BYTES)
  const blob = Buffer.concat([field(KEY_TYPE), field(point)])
  const check = randomBytes(4)
  const secret = Buffer.concat([
    check,
    check,
    blob,
    field(Buffer.concat([seed, point])),
    field(comment)
  ])
  const padding = Buffer.from(
    Array.from({ length: -secret.length & (BLOCK_BYTES - 1) }, (_, index) => index + 1)
  )
  const file = Buffer.concat([
    Buffer.from('openssh-key-v1\0'),
    field('none'),
    field('none'),
    field(''),
    number(1),
    field(blob),
    field(Buffer.concat([secret, padding]))
  ])
  const lines = file.toString('base64').match(new RegExp(`.{1,${LINE_CHARACTERS}}`, 'g')) ?? []
  return {
    privateKey: [
      '-----BEGIN OPENSSH PRIVATE KEY-----',
      ...lines,
      '-----END OPENSSH PRIVATE KEY-----',
      ''
    ].join('\n'),
    publicKey: `${KEY_TYPE} ${blob.toString('base64')} ${comment}`
  }
}

/**
 * The public key of a home's own pair, which is made when there is none.
 *
 * @param path of the private key; the public one is beside it, `.pub`
 * @param lock a file that is locked meanwhile: two first starts at once must not make two pairs
 * @throws ContainerError `BUSY` when another process does not finish making it
 */
export async function homeSshKey(path: string, lock: string): Promise<string> {
  const held = await takeLock(lock, { waitMs: LOCK_WAIT_MS, keepFile: true })
  if (held === undefined) {
    throw new ContainerError('BUSY', `another process is making the key ${path}`)
  }
  try {
    return (await readPublicKey(path)) ?? (await makeKeyFiles(path))
  } finally {
    await held[Symbol.asyncDispose]()
  }
}

async function makeKeyFiles(path: string): Promise<string> {
  const pair = makeSshKey('dat-container machine')
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writeFileAtomically(path, pair.privateKey, 0o600)
  // The public one last: where it is, the private one is too.
  await writeFileAtomically(`${path}.pub`, `${pair.publicKey}\n`, 0o644)
  return pair.publicKey
}

async function readPublicKey(path: string): Promise<string | undefined> {
  try {
    return (await readFile(`${path}.pub`, 'utf8')).trim()
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** A string as RFC 4251 writes it: its length in four bytes, big-endian, then its bytes. */
function field(content: string | Buffer): Buffer {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  return Buffer.concat([number(bytes.length), bytes])
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
