import test from 'brittle'
import * as v from 'valibot'
import { count, decodeRecord, type RecordFormat } from '../../src/core/record-format.ts'

interface Size {
  readonly format: 3
  readonly bytes: number
}

/** Version 1 had kilobytes by another name, version 2 bytes as text. */
const SIZE: RecordFormat<Size> = {
  field: 'format',
  version: 3,
  shape: v.looseObject({ format: v.literal(3), bytes: count }),
  steps: [
    ({ kilobytes, ...rest }) => ({ ...rest, bytes: `${Number(kilobytes) * 1000}` }),
    ({ bytes, ...rest }) => ({ ...rest, bytes: Number(bytes) })
  ]
}

void test('records of earlier releases are read as those of this one', (t) => {
  const whole = { kind: 'record', record: { format: 3, bytes: 5000 } }
  t.alike(decodeRecord('{"format":3,"bytes":5000}', SIZE), whole)
  t.alike(decodeRecord('{"format":2,"bytes":"5000"}', SIZE), whole)
  t.alike(decodeRecord('{"format":1,"kilobytes":5}', SIZE), whole)
  t.alike(decodeRecord('{"format":3,"bytes":1,"unit":"B"}', SIZE), {
    kind: 'record',
    record: { format: 3, bytes: 1, unit: 'B' }
  })
})

void test('what is no record says why, and one of a later release is none of these', (t) => {
  const why = (text: string): string => {
    const decoded = decodeRecord(text, SIZE)
    return decoded.kind === 'damaged' ? decoded.why : decoded.kind
  }
  const table: [text: string, why: string][] = [
    ['', 'is empty'],
    [' \n', 'is empty'],
    ['{"format":3', 'is not JSON'],
    ['null', 'is not a record'],
    ['[1]', 'is not a record'],
    ['"3"', 'is not a record'],
    ['{}', 'has no format'],
    ['{"format":"3","bytes":1}', 'has no format'],
    ['{"format":0,"bytes":1}', 'has no format'],
    ['{"format":3}', 'has no usable bytes'],
    ['{"format":3,"bytes":-1}', 'has no usable bytes'],
    ['{"format":3,"bytes":1.5}', 'has no usable bytes'],
    ['{"format":3,"bytes":9007199254740993}', 'has no usable bytes'],
    ['{"format":4,"bytes":"any"}', 'later']
  ]
  for (const [text, expected] of table) t.is(why(text), expected, text)
})
