import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { RECORD_NAMESPACE, type AttestRecord } from '../../../src/attest/attest-record.ts'
import { parseSshPublicKey, signText } from '../../../src/attest/ssh-signature.ts'
import { isContainerError } from '../../../src/core/errors.ts'
import { checkRecord, differences, type Expected } from '../../../src/machine/guest/attest.ts'
import { findAttestKey } from '../../../src/machine/state/console-log.ts'

const A = 'a'.repeat(64)
const B = 'b'.repeat(64)
const RECORD: AttestRecord = {
  format: 1,
  machine: 'web',
  nonce: '00112233',
  bootId: '11111111-2222-3333-4444-555555555555',
  bootedAt: '2026-11-20T10:00:00.000Z',
  signedAt: '2026-11-20T10:05:00.000Z',
  commandLine: 'console=ttyS0 host=web word="with space"',
  kernelTold: A,
  initrdTold: B,
  initrdMeasured: null,
  sshHostKey: 'ssh-ed25519 AAAA',
  containers: [{ name: 'one', key: 'k'.repeat(52), version: 3, index: [`sha256:${A}`] }]
}

function makeKey(directory: string, name: string): { file: string; publicKey: string } {
  const file = join(directory, name)
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file])
  return { file, publicKey: parseSshPublicKey(readFileSync(`${file}.pub`, 'utf8')) }
}

async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work
    return 'nothing'
  } catch (error) {
    return isContainerError(error, 'BAD_SOURCE') ? error.message : `unexpected: ${String(error)}`
  }
}

void test('a record is believed by its signature alone', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-attest-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const { file, publicKey } = makeKey(directory, 'key')
  const other = makeKey(directory, 'other')
  const text = JSON.stringify(RECORD)
  const signature = await signText(text, RECORD_NAMESPACE, file)
  const documentOf = (change: Record<string, unknown>): string =>
    JSON.stringify({ record: text, publicKey, signature, ...change })
  const { record } = await checkRecord(documentOf({}), { publicKey })
  t.alike(record, RECORD)

  const changed = text.replace('"version":3', '"version":4')
  const ofOther = await signText(text, RECORD_NAMESPACE, other.file)
  const table: [string, string, string?][] = [
    ['a changed record', documentOf({ record: changed })],
    ['a space more', documentOf({ record: `${text} ` })],
    ['a signature by another key', documentOf({ signature: ofOther })],
    ['another key', documentOf({ signature: ofOther, publicKey: other.publicKey })],
    ['the key of another machine', documentOf({}), other.publicKey],
    [
      'a signature for something else',
      documentOf({ signature: await signText(text, 'file', file) })
    ],
    ['no signature', documentOf({ signature: '' })],
    ['no record', documentOf({ record: undefined })],
    ['no JSON', 'hello'],
    ['half of it', documentOf({}).slice(0, 300)]
  ]
  for (const [name, document, key = publicKey] of table) {
    const message = await failure(checkRecord(document, { publicKey: key }))
    t.ok(message.startsWith('the record is refused'), `${name}: ${message}`)
  }
})

void test('a record that is not of what was started', (t) => {
  const right: Expected = {
    publicKey: '',
    machine: RECORD.machine,
    nonce: RECORD.nonce,
    commandLine: RECORD.commandLine,
    kernelSha256: A,
    initrdSha256: B,
    sshHostKey: 'ssh-ed25519 AAAA'
  }
  t.alike(differences(RECORD, right), [])
  t.alike(differences(RECORD, { publicKey: '' }), [], 'nothing is expected')
  const table: [Partial<Expected>, string][] = [
    [{ machine: 'other' }, 'another machine'],
    [{ nonce: '99' }, 'not fresh'],
    [{ commandLine: `${RECORD.commandLine} init=/bin/sh` }, 'command line differs'],
    [{ kernelSha256: B }, 'kernel'],
    [{ initrdSha256: A }, 'initrd'],
    [{ sshHostKey: 'ssh-ed25519 BBBB' }, 'ssh']
  ]
  for (const [change, reason] of table) {
    const found = differences(RECORD, { ...right, ...change })
    t.is(found.length, 1, reason)
    t.ok(found[0]?.includes(reason), found[0])
  }
  t.alike(differences({ ...RECORD, initrdMeasured: B }, right), [])
  t.is(
    differences({ ...RECORD, initrdMeasured: A }, right).length,
    1,
    'told so, measured otherwise'
  )
  t.is(differences({ ...RECORD, kernelTold: null }, right).length, 1, 'it was not told')
})

void test('the key that a console told last', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-attest-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const log = join(directory, 'console.log')
  t.is(await findAttestKey(log), undefined)
  writeFileSync(
    log,
    'Linux version 6.12\r\n[    5.1] attest[99]: attest key: ssh-ed25519 AAAA+/=\r\n'
  )
  t.is(await findAttestKey(log), 'ssh-ed25519 AAAA+/=')
  writeFileSync(log, 'attest key: ssh-ed25519 BBBB\r\nreboot\r\n', { flag: 'a' })
  t.is(await findAttestKey(log), 'ssh-ed25519 BBBB')
})
