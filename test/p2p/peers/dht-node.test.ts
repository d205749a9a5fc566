import test from 'brittle'
import { isContainerError } from '../../../src/core/errors.ts'
import { startDhtNode } from '../../../src/p2p/peers/dht-node.ts'

void test('a DHT node picks a port where none is given, and leaves alone what is taken', async (t) => {
  await using node = await startDhtNode('127.0.0.1', 0)
  t.ok(node.port > 0)
  t.is(node.host, '127.0.0.1')
  try {
    await using second = await startDhtNode('127.0.0.1', node.port)
    t.fail(`a second one listens on ${second.port}`)
  } catch (error) {
    t.ok(isContainerError(error, 'IO'), String(error))
  }
})
