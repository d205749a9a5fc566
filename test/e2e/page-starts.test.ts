import { join } from 'node:path'
import test from 'brittle'
import { isContainerError } from '../../src/core/errors.ts'
import { openHome } from '../../src/home/home.ts'
import { ImageReference } from '../../src/p2p/link.ts'
import type { PageView } from '../../src/rpc/page-protocol.ts'
import { METHODS } from '../../src/rpc/protocol.ts'
import { START_PART_TEXTS, START_PARTS, type StartPart } from '../../src/rpc/start-parts.ts'
import { DaemonClient } from '../../src/session/connection/client.ts'
import { until } from '../until.ts'
import { noBrowser, openBrowser } from './browser.ts'
import type { Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

interface Explained {
  readonly start: { readonly totalMs: number; readonly parts: Readonly<Record<StartPart, number>> }
}

const isRoot = process.getuid?.() === 0
const skip = !isRoot || noBrowser !== undefined
const title = 'the page shows a start as stats explains it, also when the container is gone'

test(skip ? `${title} (${noBrowser ?? 'needs root'})` : title, { ...LONG, skip }, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  await machine.ok('daemon', 'start', '--ui')
  const rootfs = tinyRootfs(join(sandbox.directory, 'rootfs'))
  await machine.ok(
    ...[
      'share',
      rootfs,
      '--name',
      'x',
      '--profile',
      '--profile-for',
      '2s',
      '--',
      'cat',
      '/usr/bin/cat'
    ]
  )
  await machine.ok('boot', 'x', '-n', 'web', '-d', '--', 'sleep', '1000')
  await until(t, 'the start is noted', async () => (await viewOf(machine)).starts.length > 0)
  const [summary, ...others] = (await viewOf(machine)).starts
  t.alike(others, [], 'that of the publish is none of a container')
  t.is(summary?.container, 'web')
  t.is(summary?.image, 'x')
  t.is(summary?.mode, 'process')
  const { start } = await viewOf(machine, `?start=${encodeURIComponent(summary?.id ?? '')}`)
  const explained = await machine.json<Explained>('stats', 'web', '--explain')
  t.is(start?.totalMs, explained.start.totalMs)
  const ms = Object.fromEntries(start?.parts.map((part) => [part.part, part.ms]) ?? [])
  t.alike(ms, explained.start.parts, 'parts are those of stats --explain')
  for (const { part, times } of start?.parts ?? []) {
    const isWithin = times.every(
      ([from, to]) => from >= 0 && to <= (start?.totalMs ?? 0) && from < to
    )
    t.ok(isWithin, `${part} is within the start`)
  }

  await machine.ok('rm', '--force', 'web')
  await machine.ok('daemon', 'stop')
  await machine.ok('daemon', 'start', '--ui')
  await using browser = await openBrowser()
  const page = await (await browser.newContext()).newPage()
  await page.goto((await machine.json<{ url: string }>('daemon', 'ui')).url)
  await page.locator('#starts a').click()
  await page.locator('main h2', { hasText: 'web' }).waitFor()
  const rows = await page.locator('.waterfall tbody th').allTextContents()
  t.alike(rows, [...START_PARTS.map((part) => START_PART_TEXTS[part]), 'not attributed'])
  const pieces = await page.locator('.waterfall .piece').count()
  t.is(
    pieces,
    start?.parts.reduce((sum, { times }) => sum + times.length, 0),
    'a piece for each time'
  )
})

test(
  'a start is noted for an image of the connection alone, and only in its shape',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('only')
    const rootfs = tinyRootfs(join(sandbox.directory, 'rootfs'))
    await machine.ok('daemon', 'start', '--ui')
    const { link } = await machine.json<Shared>('share', rootfs, '--name', 'x')
    process.env['DAT_CONTAINER_RUNTIME_DIR'] = join(sandbox.directory, 'run')
    using client = await DaemonClient.connect(openHome(machine.home))
    const { handle } = await client.request(METHODS.open, {
      image: ImageReference.parse(link),
      peerTimeoutMs: 1_000,
      offline: true
    })
    const note = {
      ...{
        handle,
        container: 'web',
        mode: 'boot' as const,
        at: new Date().toISOString(),
        totalMs: 10
      },
      parts: [{ part: 'mount' as const, ms: 1, times: [[0, 1]] as [number, number][] }]
    }
    const refused = async (change: object): Promise<boolean> =>
      client.request(METHODS.noteStart, { ...note, ...change }).then(
        () => false,
        (error: unknown) => isContainerError(error, 'USAGE')
      )
    for (const change of [
      { handle: handle + 1 },
      { container: 'harmless\u202egnp' },
      { container: 'x'.repeat(65) },
      { mode: 'other' },
      { at: 'yesterday' },
      { totalMs: -1 },
      { parts: [{ part: 'other', ms: 1, times: [] }] },
      { parts: [{ part: 'mount', ms: 1, times: [[0]] }] },
      { parts: [{ part: 'mount', ms: 1, times: Array.from({ length: 2_000 }, () => [0, 1]) }] }
    ]) {
      t.ok(await refused(change), JSON.stringify(change).slice(0, 80))
    }
    t.is((await viewOf(machine)).starts.length, 0)
    for (let n = 0; n < 40; n++) await client.request(METHODS.noteStart, { ...note, totalMs: n })
    const { starts } = await viewOf(machine)
    t.is(starts.length, 32, 'the last ones are kept')
    t.is(starts[0]?.totalMs, 39, 'the latest first')
  }
)

async function viewOf(machine: Machine, query = ''): Promise<PageView> {
  const { url } = await machine.json<{ url: string }>('daemon', 'ui')
  const [page, token] = url.split('#token=')
  const answer = await fetch(`${page}api/view${query}`, {
    headers: { authorization: `Bearer ${token}` }
  })
  return (await answer.json()) as PageView
}
