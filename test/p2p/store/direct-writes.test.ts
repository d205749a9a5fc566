import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import createTestnet from 'hyperdht/testnet.js'
import { takesDirectWrites } from '../../../src/p2p/store/direct-writes.ts'
import { PeerNode } from '../../../src/p2p/peers/peer-node.ts'
import { temporaryDirectory } from '../../image/planted-tree.ts'

const isRoot = process.getuid?.() === 0

void test(
  'a store opens where the file system cannot write past the page cache',
  { skip: !isRoot },
  async (t) => {
    const directory = temporaryDirectory()
    t.teardown(directory.remove)
    t.ok(await takesDirectWrites(join(directory.path, 'disk')), 'the disk can')
    t.alike(readdirSync(join(directory.path, 'disk')), [], 'and nothing is left of asking')

    const memory = join(directory.path, 'memory')
    mkdirSync(memory)
    execFileSync('mount', ['-t', 'ramfs', 'ramfs', memory])
    t.teardown(() => execFileSync('umount', [memory]), { order: -1 })
    t.absent(await takesDirectWrites(memory), 'ramfs cannot')
    const testnet = await createTestnet(1)
    t.teardown(() => testnet.destroy())
    const bootstrap = testnet.bootstrap.map(({ host, port }) => `${host}:${port}`)
    const storage = join(memory, 'store')
    const content = Buffer.from('content')
    {
      await using node = await PeerNode.open({ storage, bootstrap })
      const core = node.store.get({ name: 'log' })
      await core.append([content])
    }
    await using node = await PeerNode.open({ storage, bootstrap })
    t.alike(await node.store.get({ name: 'log' }).get(0), content, 'what it holds comes back')
    t.ok(existsSync(storage))
  }
)
