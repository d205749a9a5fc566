import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import {
  badRecord,
  parseRecord,
  parseSignedRecord,
  RECORD_NAMESPACE,
  type AttestRecord,
  type SignedRecord
} from '../../attest/attest-record.ts'
import { isSigned, parseSshPublicKey } from '../../attest/ssh-signature.ts'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { findAttestKey } from '../state/console-log.ts'
import { machineHome, machinePaths } from '../state/machine-paths.ts'
import { requireRunning } from '../state/machine-record.ts'
import { captureSsh, sshTarget } from './ssh-command.ts'

/** What a record must contain, as far as that is known. */
export interface Expected {
  /** The machine's key of this boot, as `ssh-ed25519 BASE64`. */
  readonly publicKey: string
  readonly machine?: string | undefined
  readonly nonce?: string | undefined
  readonly commandLine?: string | undefined
  /** SHA-256, lower-case hexadecimal. */
  readonly kernelSha256?: string | undefined
  readonly initrdSha256?: string | undefined
  readonly sshHostKey?: string | undefined
}

/** A record that was checked. */
export interface Attestation {
  readonly signed: SignedRecord
  readonly record: AttestRecord
}

const NONCE_BYTES = 32
/** Without hardware's help a command of the guest takes seconds to start. */
const ANSWER_TIMEOUT_MS = 180_000
/** The key is made beside what a login waits for, and may be a moment behind it. */
const ASK = 'systemctl start hyperos-attest.service && exec dat-container attest-record --nonce'

/**
 * Asks a running machine for a record of its boot, and checks it against how this home started it:
 * the key that its console told, a nonce, kernel, initrd, command line and ssh's key.
 *
 * @param request.nonce hexadecimal, of somebody else who wants a fresh record @default random
 * @throws ContainerError `BAD_SOURCE` for a record that is refused, `NOT_FOUND`, `NOT_RUNNING`,
 *   `UNSUPPORTED_VERSION` for a machine or an image of an older release, `MISSING_TOOL`, `TIMEOUT`
 */
export async function attestMachine(request: {
  home: string
  name: string
  nonce?: string | undefined
  signal?: AbortSignal | undefined
}): Promise<Attestation> {
  const home = machineHome(request.home)
  const paths = machinePaths(home, request.name)
  const { boot, sshPort } = await requireRunning(paths)
  const restart = `restart it: dat-container machine restart ${request.name}`
  if (boot === undefined) {
    throw tooOld(`machine ${request.name} was started by an older release`, restart)
  }
  const nonce = request.nonce ?? randomBytes(NONCE_BYTES).toString('hex')
  const ran = await captureSsh(sshTarget(home, paths, sshPort), `${ASK} ${nonce}`, {
    timeoutMs: ANSWER_TIMEOUT_MS,
    signal: request.signal
  })
  if (ran.exitCode === 124) {
    throw new ContainerError('TIMEOUT', `machine ${request.name} does not answer`)
  }
  if (ran.exitCode !== 0) {
    const said = ran.stderr.trim().split('\n').at(-1) ?? ''
    throw tooOld(`machine ${request.name} gave no record of its boot: ${said}`, newerImage(restart))
  }
  const told = await findAttestKey(paths.consoleLog)
  if (told === undefined) {
    throw tooOld(`the console of machine ${request.name} showed no key`, newerImage(restart))
  }
  return checkRecord(ran.stdout, {
    publicKey: parseSshPublicKey(told),
    machine: request.name,
    nonce,
    commandLine: boot.commandLine,
    kernelSha256: boot.kernelSha256,
    initrdSha256: boot.initrdSha256,
    sshHostKey: await knownHostKey(paths.knownHosts)
  })
}

/**
 * Checks a record that was kept.
 *
 * @param document text of what `machine attest --output` wrote
 * @throws ContainerError `BAD_SOURCE` for one that is refused, `UNSUPPORTED_VERSION`, `MISSING_TOOL`
 */
export async function checkRecord(document: string, expected: Expected): Promise<Attestation> {
  const signed = parseSignedRecord(document)
  const { publicKey } = expected
  if (signed.publicKey !== publicKey) throw badRecord('another key signed it')
  const isRight = await isSigned(signed.record, {
    ...{ publicKey, namespace: RECORD_NAMESPACE, signature: signed.signature }
  })
  if (!isRight) throw badRecord('its signature belongs to something else')
  const record = parseRecord(signed.record)
  const [difference] = differences(record, expected)
  if (difference !== undefined) throw badRecord(difference)
  return { signed, record }
}

/**
 * Compares a record with what is expected; pure. Facts without an expectation are not compared.
 *
 * @returns a sentence for each difference
 */
export function differences(record: AttestRecord, expected: Expected): string[] {
  const { kernelTold, initrdTold, initrdMeasured } = record
  const pairs: [unknown, unknown, string][] = [
    [expected.machine, record.machine, 'it belongs to another machine'],
    [expected.nonce, record.nonce, 'it has another nonce: it is not fresh'],
    [expected.commandLine, record.commandLine, 'the command line differs from the one given'],
    [expected.kernelSha256, kernelTold, 'its kernel differs'],
    [expected.initrdSha256, initrdTold, 'its initrd differs'],
    [
      expected.initrdSha256,
      initrdMeasured ?? expected.initrdSha256,
      'the initrd that it measured differs'
    ],
    [expected.sshHostKey, record.sshHostKey, 'the ssh host key of the machine differs']
  ]
  return pairs
    .filter(([wanted, found]) => wanted !== undefined && wanted !== found)
    .map(([, , message]) => message)
}

/** The key that ssh remembers of a machine. */
async function knownHostKey(path: string): Promise<string | undefined> {
  try {
    const text = await readFile(path, 'utf8')
    return /ssh-ed25519 [A-Za-z0-9+/=]+/.exec(text)?.[0]
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

function newerImage(restart: string): string {
  return `get a newer HyperOS (dat-container machine upgrade), then ${restart}`
}

function tooOld(message: string, hint: string): ContainerError {
  return new ContainerError('UNSUPPORTED_VERSION', message, { hint })
}
