import { ContainerError } from '../core/errors.ts'
import { JsonFields } from '../core/json-fields.ts'

export const RECORD_FORMAT = 1
/** What signatures of records are for; `ssh-keygen -Y verify -n` takes it. */
export const RECORD_NAMESPACE = 'attest@dat-container'
/** Below fw_cfg's `opt/`: how the host tells a machine the SHA-256 of its kernel and initrd. */
export const TOLD_KERNEL = 'opt/org.dat-container/kernel.sha256'
export const TOLD_INITRD = 'opt/org.dat-container/initrd.sha256'

/** What a boot of HyperOS was, as its own key signs it. */
export interface AttestRecord {
  readonly format: typeof RECORD_FORMAT
  /** The machine's name for itself. */
  readonly machine: string
  /** The nonce of the request, hexadecimal: proves that this is not an older answer. */
  readonly nonce: string
  /** The kernel's random name of this boot. */
  readonly bootId: string
  /** By the machine's clock, ISO 8601, UTC. */
  readonly bootedAt: string
  readonly signedAt: string
  /** As the kernel shows it. */
  readonly commandLine: string
  /** SHA-256 of the kernel as the host told it; a guest cannot measure its kernel. */
  readonly kernelTold: string | null
  readonly initrdTold: string | null
  /** SHA-256 of the initrd as the kernel has it, where its command line has `retain_initrd`. */
  readonly initrdMeasured: string | null
  /** The key by which ssh knows the machine: `ssh-ed25519 BASE64`. */
  readonly sshHostKey: string | null
  /** Containers that run, sorted by name. */
  readonly containers: readonly AttestedContainer[]
}

/** A container, and what of its link is no secret. */
export interface AttestedContainer {
  readonly name: string
  /** Key of the image's drive, z-base-32. */
  readonly key: string
  readonly version: number
  /** Digests of the image's index, and of the one that it is a difference to; empty when not known. */
  readonly index: readonly string[]
}

/** A record and its signature, as files keep them. */
export interface SignedRecord {
  /** The JSON text that is signed. */
  readonly record: string
  /** `ssh-ed25519 BASE64`; that it is the machine's is for others to know. */
  readonly publicKey: string
  /** Armored, in OpenSSH's format. */
  readonly signature: string
}

const DOCUMENT_BYTES = 4 * 1024 ** 2
const MOST_CONTAINERS = 4096
const SHA256_PATTERN = /^[0-9a-f]{64}$/

/** @throws ContainerError `BAD_SOURCE` */
export function parseSignedRecord(text: string): SignedRecord {
  if (text.length > DOCUMENT_BYTES) throw badRecord('it is too large')
  const fields = new JsonFields(parseJson(text), '', badRecord)
  return {
    record: fields.text('record', DOCUMENT_BYTES),
    publicKey: fields.line('publicKey', 200),
    signature: fields.text('signature', 4096)
  }
}

/** @throws ContainerError `BAD_SOURCE`, `UNSUPPORTED_VERSION` */
export function parseRecord(text: string): AttestRecord {
  const fields = new JsonFields(parseJson(text), '', badRecord)
  if (fields.count('format') !== RECORD_FORMAT) {
    throw new ContainerError('UNSUPPORTED_VERSION', 'this record was made by another release', {
      hint: 'verify it with the release that the machine runs'
    })
  }
  return {
    format: RECORD_FORMAT,
    machine: fields.line('machine', 255),
    nonce: fields.line('nonce', 128),
    bootId: fields.line('bootId', 64),
    bootedAt: fields.line('bootedAt', 40),
    signedAt: fields.line('signedAt', 40),
    commandLine: fields.text('commandLine', 8192),
    kernelTold: sha256OrNull(fields, 'kernelTold'),
    initrdTold: sha256OrNull(fields, 'initrdTold'),
    initrdMeasured: sha256OrNull(fields, 'initrdMeasured'),
    sshHostKey: fields.get('sshHostKey') === null ? null : fields.line('sshHostKey', 200),
    containers: fields.objects('containers', MOST_CONTAINERS).map((each) => ({
      name: each.line('name', 255),
      key: each.line('key', 64),
      version: each.count('version'),
      index: each.texts('index', { items: 2, length: 100 })
    }))
  }
}

function sha256OrNull(fields: JsonFields, name: string): string | null {
  if (fields.get(name) === null) return null
  const text = fields.line(name, 64)
  if (!SHA256_PATTERN.test(text)) throw badRecord(`${name} is not a SHA-256`)
  return text
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw badRecord('it does not parse')
  }
}

/** The error for a record that is not to be believed. */
export function badRecord(why: string): ContainerError {
  return new ContainerError('BAD_SOURCE', `the record is refused: ${why}`, {
    hint: 'ask for a new one: dat-container machine attest NAME; do not trust the machine until that succeeds'
  })
}
