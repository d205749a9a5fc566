import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { homeSshKey, makeSshKey } from '../../../src/machine/guest/ssh-key.ts'

void test('ssh-keygen reads the keys that are made', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-ssh-key-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  for (const comment of ['', 'a', 'of seven', 'a longer comment']) {
    const { privateKey, publicKey } = makeSshKey(comment)
    const path = join(directory, 'key')
    writeFileSync(path, privateKey, { mode: 0o600 })
    t.is(execFileSync('ssh-keygen', ['-y', '-f', path]).toString().trim(), publicKey.trim())
  }
})

void test('first starts at once agree on one key', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-ssh-key-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'ssh', 'id')
  const lock = join(directory, 'lock')
  const keys = await Promise.all(Array.from({ length: 8 }, () => homeSshKey(path, lock)))
  t.is(new Set(keys).size, 1)
  t.is(execFileSync('ssh-keygen', ['-y', '-f', path]).toString().trim(), keys[0])
  t.is(readFileSync(`${path}.pub`, 'utf8').trim(), keys[0])
})
