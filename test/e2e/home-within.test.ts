import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import type { Shared } from './results.ts'
import { LONG, Machine, Sandbox } from './sandbox.ts'

test('a directory around a home is shared without what is in the home', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const source = join(sandbox.directory, 'machine')
  const home = join(source, 'var/lib/dat-container')
  mkdirSync(home, { recursive: true, mode: 0o700 })
  writeFileSync(join(source, 'var/lib/other'), 'content')
  const machine = new Machine(home, sandbox.sandboxEnvironment)
  try {
    await machine.ok('daemon', 'start')
    const { link } = await machine.json<Shared>('share', source, '--name', 'machine')
    t.is(await machine.ok('cat', link, '/var/lib/other'), 'content')
    t.alike((await machine.ok('ls', link, '/var/lib')).split('\n').toSorted(), [
      'dat-container',
      'other'
    ])
    t.is(await machine.ok('ls', link, '/var/lib/dat-container'), '', 'keys and secrets stay')
    const other = await sandbox.machine('other')
    const around = await other.json<Shared & { notices: string[] }>('share', source, '-n', 'again')
    t.is(await other.ok('ls', around.link, '/var/lib/dat-container'), '', 'nor are another home’s')
    t.ok(around.notices.join('').includes('/var/lib/dat-container'), around.notices.join(''))
    const named = await machine.json<Shared>(
      'share',
      home,
      '--exclude',
      'store',
      '--name',
      'itself'
    )
    const names = await machine.ok('ls', named.link, '/')
    t.ok(names.includes('swarm-identity.json'), `a home that is named is shared: ${names}`)
  } finally {
    await machine.shutDown()
  }
})
