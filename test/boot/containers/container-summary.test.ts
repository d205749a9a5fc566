import test from 'brittle'
import { parseJson } from '../../../src/core/json-file.ts'
import { containerSummary } from '../../../src/boot/containers/container-summary.ts'

void test('what a guest tells of a container is taken as far as it has that shape', (t) => {
  const told = { name: 'web', state: 'running', image: { toString: 1 }, command: 'sh', pid: '7' }
  const taken = parseJson(JSON.stringify(told), containerSummary)
  t.is(taken?.name, 'web')
  t.is(taken?.image, null, 'an object is no name')
  t.is(taken?.command, null)
  t.is(taken?.pid, null)
  t.is(taken?.endedAt, null, 'an earlier release does not tell it')
  t.alike(taken?.timings, {})
  t.is(parseJson('{"name":1,"state":"running"}', containerSummary), undefined)
  t.is(parseJson('{"name":"web","state":"unheard of"}', containerSummary), undefined)
  t.is(parseJson('not JSON', containerSummary), undefined)
})
