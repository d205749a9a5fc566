import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { writeFileAtomically } from '../../src/core/atomic-file.ts'

test('nothing is written through what somebody has put beside a file', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-atomic-'))
  const path = join(directory, 'export.tar')
  const target = join(directory, 'of somebody else')
  writeFileSync(target, 'theirs')
  // The names that could be guessed.
  for (const name of [`${path}.${process.pid}.tmp`, `${path}.tmp`, `${path}.unfinished`]) {
    symlinkSync(target, name)
  }
  await writeFileAtomically(path, 'ours')
  t.is(readFileSync(target, 'utf8'), 'theirs', 'the target of a planted link is as it was')
  t.is(readFileSync(path, 'utf8'), 'ours')
  t.is(statSync(path).mode & 0o777, 0o600, 'for its user alone')
  symlinkSync(target, join(directory, 'link'))
  await writeFileAtomically(join(directory, 'link'), 'ours')
  t.is(readFileSync(target, 'utf8'), 'theirs', 'a link of that name is replaced, and not followed')
  t.is(readdirSync(directory).length, 6, 'nothing else is left')
  t.ok(existsSync(path))
  rmSync(directory, { recursive: true, force: true })
})
