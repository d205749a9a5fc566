import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import * as v from 'valibot'
import { readJsonFile, readRecord, readRecordSync } from '../../src/core/json-file.ts'
import { count, type RecordFormat } from '../../src/core/record-format.ts'

interface Size {
  readonly format: 2
  readonly bytes: number
}

const SIZE: RecordFormat<Size> = {
  field: 'format',
  version: 2,
  shape: v.looseObject({ format: v.literal(2), bytes: count }),
  steps: [({ bytes }) => ({ bytes: Number(bytes) })]
}

void test('a record is read, absent, damaged or of a later release, and these are not confused', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dc-record-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text)
  write('whole', '{"format":2,"bytes":5}')
  write('older', '{"format":1,"bytes":"5"}')
  write('later', '{"format":3}')
  write('empty', '')
  write('torn', '{"format":2,"by')
  write('other', '{"format":2}')
  write('long', `{"format":2,"bytes":5}${' '.repeat(100)}`)
  mkdirSync(join(directory, 'directory'))
  symlinkSync('loop', join(directory, 'loop'))
  const table: [name: string, outcome: string][] = [
    ['whole', '5'],
    ['older', '5'],
    ['later', 'later'],
    ['nothing', 'absent'],
    ['whole/below', 'absent'],
    ['nothing/below', 'absent'],
    ['empty', 'is empty'],
    ['torn', 'is not JSON'],
    ['other', 'has no usable bytes'],
    ['long', 'is too long'],
    ['directory', 'could not be opened (EISDIR)'],
    ['loop', 'could not be opened (ELOOP)']
  ]
  for (const [name, outcome] of table) {
    const path = join(directory, name)
    t.is(outcomeOf(await readRecord(path, SIZE, name === 'long' ? 100 : undefined)), outcome, name)
    if (name !== 'long') t.is(outcomeOf(readRecordSync(path, SIZE)), outcome, `${name}, at once`)
  }
})

void test('a file of the runtime directory that is damaged is as good as absent', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dc-json-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const path = join(directory, 'state')
  for (const text of ['', '{', '{"bytes":-1}']) {
    writeFileSync(path, text)
    t.is(await readJsonFile(path, v.object({ bytes: count })), undefined, text)
  }
  t.is(await readJsonFile(join(path, 'below'), v.object({ bytes: count })), undefined)
  writeFileSync(path, '{"bytes":1}')
  t.alike(await readJsonFile(path, v.object({ bytes: count })), { bytes: 1 })
  await t.exception(readJsonFile(directory, v.object({ bytes: count })), /EISDIR/)
})

function outcomeOf(found: Awaited<ReturnType<typeof readRecord<Size>>>): string {
  if (found.kind === 'record') return String(found.record.bytes)
  return found.kind === 'damaged' ? found.why : found.kind
}
