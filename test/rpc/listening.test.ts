import test from 'brittle'
import { parseListening, parseNat, parseRelays, parseSwitch } from '../../src/rpc/listening.ts'
import { isContainerError } from '../../src/core/errors.ts'

test('where a daemon listens, and what links say of that', (t) => {
  const at = (host: string) => ({ host, port: 7777 })
  const outside = { host: 'seed.example', port: 80 }
  const table = [
    [undefined, undefined, 'known', undefined],
    ['', undefined, 'known', undefined],
    ['none', undefined, undefined, undefined],
    ['7777', undefined, at('0.0.0.0'), undefined],
    ['192.0.2.7:7777', undefined, at('192.0.2.7'), at('192.0.2.7')],
    ['[::]:7777', undefined, at('::'), undefined],
    ['7777', 'seed.example:80', at('0.0.0.0'), outside],
    [undefined, 'seed.example:80', 'known', outside]
  ] as const
  for (const [listen, advertise, ...expected] of table) {
    const { listen: found, advertise: said } = parseListening(listen, advertise)
    t.alike([found, said], expected, `${listen}, ${advertise}`)
  }
  for (const wrong of ['nowhere', 'None', '0', '65536', ':1']) {
    try {
      parseListening(wrong, undefined)
      t.fail(wrong)
    } catch (error) {
      t.ok(isContainerError(error, 'USAGE'), wrong)
    }
  }
})

test('how a daemon gets through NATs and looks on its networks', (t) => {
  const key = 'ab'.repeat(32)
  t.alike([undefined, '', 'auto', 'open'].map(parseNat), [undefined, undefined, 'auto', 'open'])
  t.alike(parseRelays(undefined), [])
  t.alike(parseRelays(`${key}, ${key}`), [Buffer.from(key, 'hex'), Buffer.from(key, 'hex')])
  t.alike(
    [undefined, '', 'yes', 'no'].map((text) => parseSwitch('lan', text)),
    [true, true, true, false]
  )
  for (const wrong of [
    () => parseNat('closed'),
    () => parseRelays('x'),
    () => parseSwitch('lan', 'maybe')
  ]) {
    try {
      wrong()
      t.fail(String(wrong))
    } catch (error) {
      t.ok(isContainerError(error, 'USAGE'), String(wrong))
    }
  }
})
