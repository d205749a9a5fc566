import test from 'brittle'
import {
  parseRecord,
  parseSignedRecord,
  type AttestRecord,
  type SignedRecord
} from '../../src/attest/attest-record.ts'
import { sealManifest, UNSET_DIGEST } from '../../src/machine/os-image/manifest-digest.ts'
import { parseOsManifest } from '../../src/machine/os-image/os-manifest.ts'
import { fuzz } from './fuzz.ts'
import { changedJson, jsonChanges } from './json-changes.ts'
import { mutate, mutations } from './mutations.ts'

const MINUTES_5 = { timeout: 300_000 }
const SHA256 = 'a'.repeat(64)
const MANIFEST = JSON.stringify({
  ...{ format: 1, name: 'hyperos', version: '0.1.0', arch: 'amd64' },
  ...{ created: '2025-08-09T00:00:00.000Z', released: '2026-08-09T00:00:00.000Z' },
  digest: UNSET_DIGEST,
  files: ['vmlinuz', 'initrd'].map((name) => ({ name, bytes: 7, sha256: SHA256 }))
})
const RECORD: AttestRecord = {
  ...{ format: 1, machine: 'web', nonce: '00', bootId: '1-2', bootedAt: 'now', signedAt: 'now' },
  ...{ commandLine: 'host=web', kernelTold: SHA256, initrdTold: SHA256, initrdMeasured: null },
  sshHostKey: 'ssh-ed25519 AAAA',
  containers: [{ name: 'one', key: 'k', version: 1, index: ['sha256:a', 'sha256:b'] }]
}
const SIGNED: SignedRecord = { record: '{}', publicKey: 'ssh-ed25519 AAAA', signature: '-----' }

void test('a manifest of HyperOS with values of other kinds', MINUTES_5, async (t) => {
  await fuzz(t, { cases: 20_000, accepted: 900 }, jsonChanges, (changes) => {
    parseOsManifest(sealManifest(changedJson(MANIFEST, changes)))
  })
})

void test('a record of a boot with values of other kinds', MINUTES_5, async (t) => {
  await fuzz(t, { cases: 20_000, accepted: 120 }, jsonChanges, (changes) => {
    parseRecord(changedJson(JSON.stringify(RECORD), changes))
  })
  await fuzz(t, { cases: 20_000, accepted: 250 }, jsonChanges, (changes) => {
    parseSignedRecord(changedJson(JSON.stringify(SIGNED), changes))
  })
  await fuzz(t, { cases: 20_000, accepted: 500 }, mutations, (list) => {
    parseRecord(mutate(Buffer.from(JSON.stringify(RECORD)), list).toString())
  })
})
