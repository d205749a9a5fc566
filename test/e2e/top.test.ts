import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test from 'brittle'
import { execa } from 'execa'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { debianRootfs } from './rootfs.ts'
import { COLUMNS, CTRL_C, Terminal } from './terminal.ts'
import type { Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

/** Columns of a terminal that the usual view does not fit. */
const NARROW = 50

interface Top {
  readonly daemon: { readonly upRate: number; readonly downRate: number } | null
  readonly images: readonly {
    readonly name: string
    readonly upRate: number | null
    readonly downRate: number | null
    readonly blocksHeld: number
    readonly peers: number
  }[]
  readonly containers: readonly {
    readonly name: string
    readonly state: string
    readonly cpu: number | null
    readonly memoryBytes: number | null
    readonly processes: number | null
  }[]
}

test('top shows what moves, as JSON and as text', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const [publisher, reader] = [await sandbox.machine('publisher'), await sandbox.machine('reader')]
  const none = await publisher.json<Top>('top')
  t.alike([none.daemon, none.images, none.containers], [null, [], []], 'it starts no daemon')
  const rootfs = tinyRootfs(join(sandbox.directory, 'rootfs'))
  const { link } = await publisher.json<Shared>('share', rootfs, '--name', 'tiny')

  const watching = publisher.start(['top', '--json', '--interval', '200ms'])
  const lines = createInterface({ input: watching.stdout! })
  let pulling: Promise<string> | undefined
  let most: Top['images'][number] | undefined
  for await (const line of lines) {
    const { images } = JSON.parse(line) as Top
    pulling ??= reader.ok('pull', link)
    const [image] = images
    if ((image?.upRate ?? 0) > 0) {
      most = image
      break
    }
  }
  await pulling
  t.is(most?.name, 'tiny')
  t.ok((most?.upRate ?? 0) > 0, `sent at ${most?.upRate} B/s`)
  watching.kill('SIGINT')
  t.is((await watching).exitCode, 0, 'an interruption is its usual end')

  const once = await publisher.ok('top', '--once')
  t.ok(/^daemon \d+ {3}up .*peers \d/.test(once), once)
  t.ok(/^tiny +100 % /m.test(once), once)
  t.absent(once.includes('\u001b'))
  t.absent(once.includes(link.split('#')[1] ?? link), 'no secret')
  const [program, argv] = publisher.argv('top', '--interval', '100ms')
  const head = await execa('sh', ['-c', '"$0" "$@" | head -n 1', program, ...argv], {
    env: { ...sandbox.sandboxEnvironment, DAT_CONTAINER_HOME: publisher.home },
    timeout: 60_000
  })
  t.ok(head.stdout.startsWith('daemon'), 'it ends when nobody reads any more')
})

test('top on a terminal: drawn, resized, ended, and all is as before', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  const rootfs = tinyRootfs(join(sandbox.directory, 'rootfs'))
  await machine.ok('share', rootfs, '--name', 'tiny')
  for (const [keys, what] of [
    ['q', 'q'],
    [CTRL_C, 'Ctrl-C']
  ] as const) {
    const terminal = new Terminal(sandbox, machine, ['top'], 'echo status-$?; stty -a')
    const [outer] = await terminal.until(/\/dev\/pts\/\d+/)
    await terminal.until(/\[\?1049h.\[\?25l/)
    const [screen] = await terminal.until(/\[Hdaemon[^]*?\[J/)
    t.ok(/tiny +100 %/.test(screen), 'the image is there')
    t.ok(widthOf(screen) <= COLUMNS, `${widthOf(screen)} columns`)
    t.ok(widthOf(screen) > NARROW, 'control: it needs more than a narrow terminal has')
    execFileSync('stty', ['-F', outer, 'rows', '20', 'cols', String(NARROW)])
    let again = screen
    while (widthOf(again) > NARROW) {
      ;[again] = await terminal.until(/\[Hdaemon[^]*?\[J/)
    }
    t.pass('it is drawn again, and fits')
    terminal.type(keys)
    await terminal.until(/\[\?25h.\[\?1049l/)
    await terminal.until(/status-0/)
    await terminal.until(/ icanon/)
    await terminal.until(/ echo /)
    t.is(await terminal.exited, 0, `${what} ends it, and the terminal is as before`)
  }
})

test('top shows what containers use', LONG, async (t) => {
  const before = snapshot()
  {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('only')
    const { link } = await machine.json<Shared>('share', debianRootfs(), '--name', 'debian')
    await machine.ok('boot', link, '-n', 'box', '-d', '--', 'sh', '-c', 'while :; do :; done')
    const { containers } = await machine.json<Top>('top')
    const [box] = containers
    t.alike([box?.name, box?.state], ['box', 'running'])
    t.ok((box?.cpu ?? 0) > 0, `${box?.cpu} processors`)
    t.ok((box?.memoryBytes ?? 0) > 0 && (box?.processes ?? 0) > 0)
    t.ok(/^box +running +\d+ %/m.test(await machine.ok('top', '--once')))
    await machine.ok('rm', '-f', 'box')
  }
  t.alike(await leftAfter(before), [], 'nothing is left')
})

/** How many columns the widest line of a drawn screen takes. */
function widthOf(screen: string): number {
  const lines = screen
    .split(/\r?\n/)
    .map((line) => line.replaceAll('\u001b', '').replace(/\[[HKJ]/g, ''))
  return Math.max(...lines.map(({ length }) => length))
}
