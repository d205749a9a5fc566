import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { LONG, Machine, Sandbox } from './sandbox.ts'
import type { Shared } from './results.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

interface Status {
  readonly pid: number
  readonly connections: number
  readonly maxUp: number | null
  readonly maxDown: number | null
  readonly disk: { readonly maxBytes: number | null }
  readonly allowed: readonly string[] | null
}

interface Reloaded {
  readonly changed: readonly { key: string; before: unknown; now: unknown }[]
  readonly needRestart: readonly { key: string }[]
}

test('daemon reload takes a changed configuration and keeps its peers', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const config = join(sandbox.directory, 'config')
  const configure = (...lines: string[]): void => writeFileSync(config, lines.join('\n'))
  configure('max-up = 4M')
  const home = join(sandbox.directory, 'publisher')
  mkdirSync(home, { mode: 0o700 })
  const publisher = new Machine(home, {
    ...sandbox.sandboxEnvironment,
    DAT_CONTAINER_CONFIG: config
  })
  const reader = await sandbox.machine('reader')
  const reload = async (): Promise<Reloaded> => publisher.json<Reloaded>('daemon', 'reload')
  const status = (): Promise<Status> => publisher.json<Status>('daemon', 'status')

  t.is((await publisher.run('daemon', 'reload')).exitCode, 3, 'none runs')
  await publisher.ok('daemon', 'start')
  const rootfs = tinyRootfs(join(sandbox.directory, 'rootfs'))
  const { link } = await publisher.json<Shared>('share', rootfs)
  await reader.ok('pull', link)
  const before = await status()
  t.is(before.maxUp, 4 * 1024 * 1024)
  t.is(before.connections, 1)

  t.alike(await reload(), { changed: [], needRestart: [] }, 'nothing has changed')
  configure('max-down = 2M', 'max-disk = 1G', 'listen = 127.0.0.1:17777')
  const { changed, needRestart } = await reload()
  t.alike(
    changed.map(({ key }) => key),
    ['max-disk', 'max-up', 'max-down']
  )
  t.alike(
    needRestart.map(({ key }) => key),
    ['listen', 'advertise']
  )
  const after = await status()
  t.is(after.pid, before.pid, 'it is the same process')
  t.is(after.connections, 1, 'its peer is still connected')
  t.is(after.maxUp, null)
  t.is(after.maxDown, 2 * 1024 * 1024)
  t.is(after.disk.maxBytes, 1024 ** 3)

  configure('max-up = a lot')
  const wrong = await publisher.run('daemon', 'reload')
  t.is(wrong.exitCode, 2)
  t.ok(wrong.stderr.includes(`${config}:1`), 'the error names file and line')
  configure('# nothing')
  t.is((await status()).maxDown, 2 * 1024 * 1024, 'nothing has changed')

  const own = await publisher.json<{ publicKey: string }>('identity')
  configure(`allow = ${own.publicKey}`)
  await reload()
  const alone = await status()
  t.alike(alone.allowed, [own.publicKey])
  t.is(alone.connections, 0, 'a peer that is not listed any more is not connected any more')
  configure('log-level = warn')
  await reload()
  t.is((await status()).allowed, null)
  await reader.ok('unseed', link)
  await reader.ok('pull', link)
  await publisher.ok('daemon', 'stop')
})
