import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import Corestore from 'corestore'
import HypercoreStorage from 'hypercore-storage'
import { closeDriveCores, openDriveCores } from '../../src/p2p/drive/drive-cores.ts'
import { parseLink } from '../../src/p2p/link.ts'
import { until } from '../until.ts'
import { noBrowser, openBrowser } from './browser.ts'
import type { Shared } from './results.ts'
import {
  drawnIn,
  firstCellIn,
  focusIn,
  groundIn,
  hide,
  markupIn,
  outlineIn,
  shownIn
} from './page-state.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

const OPTIONS = { ...LONG, skip: noBrowser !== undefined }
const titled = (title: string): string =>
  noBrowser === undefined ? title : `${title} (${noBrowser})`

test(
  titled('the block map is the bitfield of the store, during a pull and after it'),
  OPTIONS,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const reader = await sandbox.machine('reader')
    await publisher.ok('daemon', 'start', '--max-up', '150k', '--ui')
    const rootfs = tinyRootfs(join(sandbox.directory, 'rootfs'))
    const shared = await publisher.json<Shared>('share', rootfs, '--name', 'x')
    await reader.ok('daemon', 'start', '--ui')
    await using browser = await openBrowser()
    const context = await browser.newContext({ reducedMotion: 'reduce' })
    const [theirs, ours] = [await context.newPage(), await context.newPage()]
    await theirs.goto(await addressOf(publisher))
    await ours.goto(await addressOf(reader))
    await ours.getByText('No images yet').waitFor()

    const pull = reader.start(['pull', shared.link])
    await until(t, 'a part is shown', async () => /#.*[o.]/s.test(await shownIn(ours)))
    await until(t, 'the publisher shows what the reader has', async () => {
      const has = await theirs.locator('.peers .has').allTextContents()
      return has.some((text) => /^\d+\.\d %$/.test(text))
    })
    t.is((await theirs.locator('.peers .address').textContent())?.slice(0, 4), '127.')
    t.ok((await shownIn(ours)).includes('o'), 'what is not here is at the publisher')
    // What is here stays as it is: nobody gives more.
    await publisher.ok('daemon', 'stop')
    await theirs.getByText('The daemon does not answer').waitFor()
    await until(t, 'the reader has no peer', async () => !(await shownIn(ours)).includes('o'))
    const partial = await shownIn(ours)
    t.ok(partial.includes('#') && partial.includes('.'), partial)
    t.is(await drawnIn(ours), partial, 'what is drawn is what the page knows')
    pull.kill()
    await pull
    await reader.ok('daemon', 'stop')
    t.is(partial, await storedIn(reader, shared.link), 'the page of the reader is its store')
    const whole = await storedIn(publisher, shared.link)
    t.absent(/[^#]/.test(whole), 'the publisher has all of it')

    await publisher.ok('daemon', 'start', '--ui')
    await reader.ok('daemon', 'start', '--ui')
    await theirs.goto(await addressOf(publisher))
    await ours.goto(await addressOf(reader))
    await until(t, 'another daemon shows the same', async () => (await shownIn(ours)).length > 0)
    await reader.ok('pull', shared.link)
    await until(t, 'the page shows all', async () => !/[^#]/.test(await shownIn(ours)))
    await until(t, 'so does that of the publisher', async () => (await shownIn(theirs)).length > 0)
    const complete = await shownIn(ours)
    t.is(await drawnIn(ours), complete)
    t.is(complete, await shownIn(theirs))
    await until(t, 'the publisher sees that the reader has all', async () => {
      const has = await theirs.locator('.peers .has').allTextContents()
      return has.includes('all')
    })
    const mirror = await sandbox.machine('mirror')
    await mirror.ok('daemon', 'start', '--ui')
    await mirror.ok('mirror', shared.mirrorLink)
    const blind = await context.newPage()
    await blind.goto(await addressOf(mirror))
    await until(t, 'a mirror shows the log of entries, too', async () => {
      const maps = await blind.locator('.map canvas').all()
      const labels = await Promise.all(maps.map((map) => map.getAttribute('aria-label')))
      const isWhole = labels.every((label) => /: (\d+) of \1 blocks? /.test(label ?? ''))
      return labels.length === 2 && isWhole && labels[1]?.includes('entries') === true
    })
    t.is(await shownIn(blind), complete, 'it has the blocks that it cannot read')

    await reader.ok('daemon', 'stop')
    t.is(complete, await storedIn(reader, shared.link), 'the page of the reader is its store')
    t.is(complete, whole, 'and has what the publisher has')
  }
)

test(
  titled('the page has both themes, is used by keyboard, and asks only its daemon'),
  OPTIONS,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('only')
    const rootfs = tinyRootfs(join(sandbox.directory, 'rootfs'))
    const markup = `<img src=x onerror="document.title='owned'"><b>bold</b>`
    const turned = 'harmless\u202egnp.exe\u2066'
    const names = ['one', 'two', 'three']
    for (const name of names) await machine.ok('share', rootfs, '--name', name)
    await machine.ok('daemon', 'stop')
    // Publishers of other images may name them so.
    const list = join(machine.home, 'images.json')
    const forged = readFileSync(list, 'utf8')
      .replace('"one"', () => JSON.stringify(markup))
      .replace('"two"', () => JSON.stringify(turned))
    writeFileSync(list, forged)
    await machine.ok('daemon', 'start', '--ui')
    await using browser = await openBrowser()
    const context = await browser.newContext({ colorScheme: 'light' })
    const page = await context.newPage()
    const requests: { url: string; token: string | undefined }[] = []
    const errors: string[] = []
    context.on('request', (request) =>
      requests.push({ url: request.url(), token: request.headers()['authorization'] })
    )
    page.on('pageerror', (error) => errors.push(error.message))
    page.on('console', (message) => {
      if (message.type() === 'error') errors.push(message.text())
    })
    const address = await addressOf(machine)
    const base = address.replace(/#.*/, '')
    await page.goto(address)
    await page.locator('#images a').nth(2).waitFor()
    t.is(page.url().replace(/#.*/, ''), base)
    t.absent(page.url().includes('token'), 'the token does not stay in the address')

    const items = page.locator('#images a')
    t.is(await items.nth(0).locator('.item-name').textContent(), markup, 'markup is text')
    t.is(await page.locator('main img, nav img, nav b').count(), 0)
    const shown = (await items.nth(1).locator('.item-name').textContent()) ?? ''
    t.ok(shown.startsWith('harmless'), shown)
    t.absent(/\p{Bidi_Control}/u.test(shown), 'no text is turned around')
    t.is(await page.title(), `${markup} – dat-container`, 'nothing ran')
    const refusal = await markupIn(page)
    t.ok(refusal.includes('TrustedHTML'), 'the browser makes no markup of text here')

    const walk: string[] = []
    for (const _stop of [1, 2, 3, 4]) {
      await page.keyboard.press('Tab')
      walk.push(await focusIn(page))
    }
    t.alike(walk, ['skip', 'Auto', markup, 'CANVAS'], 'tab stops, in order')
    t.is(await outlineIn(page), 'solid', 'the focus is seen')
    await page.keyboard.press('End')
    const note = page.locator('.map .note')
    const last = (await shownIn(page)).length - 1
    t.is(await note.textContent(), `Block ${last}: here`)
    await page.keyboard.press('ArrowLeft')
    t.is(await note.textContent(), `Block ${last - 1}: here`)
    await page.keyboard.press('Shift+Tab')
    await page.keyboard.press('ArrowDown')
    await page.keyboard.press('ArrowDown')
    t.is(await focusIn(page), 'three', 'arrow keys move in the list')
    await page.keyboard.press('Enter')
    await page.locator('main h2', { hasText: 'three' }).waitFor()
    t.is(await items.nth(2).getAttribute('aria-current'), 'page')
    t.is(await focusIn(page), 'three', 'the focus stays while the page goes on')

    // It comes with the next answer of the daemon, after the heading.
    await page.locator('.map canvas').waitFor()
    const light = [await groundIn(page), await firstCellIn(page)]
    await page.emulateMedia({ colorScheme: 'dark' })
    await until(t, 'the system makes it dark', async () => (await groundIn(page)) !== light[0])
    await until(t, 'and the map', async () => (await firstCellIn(page)) !== light[1])
    await page.getByRole('radio', { name: 'Light' }).click()
    t.alike(
      [await groundIn(page), await firstCellIn(page)],
      light,
      'it is light where that is chosen'
    )
    await page.reload()
    await page.locator('#images a').nth(2).waitFor()
    t.is(await groundIn(page), light[0], 'the choice is kept, and so is the token')

    t.ok(requests.length > 5, `${requests.length} requests`)
    t.alike(
      requests.filter(({ url }) => !url.startsWith(base)),
      [],
      'none goes elsewhere'
    )
    t.alike(
      requests.filter(({ url, token }) => url.includes('/api/') !== (token !== undefined)),
      [],
      'the token goes with what needs it alone'
    )
    t.alike(
      errors.filter((text) => !text.includes('TrustedHTML')),
      []
    )
    const views = (): number => requests.filter(({ url }) => url.includes('/api/')).length
    await hide(page, true)
    await page.waitForTimeout(1_500)
    const before = views()
    // What is chosen there is asked for later.
    await page.evaluate(`location.hash = document.querySelector('#images a').hash`)
    await page.waitForTimeout(3_500)
    t.is(views(), before, 'a page in the background asks nothing')
    await hide(page, false)
    await until(t, 'in the foreground it goes on', () => views() > before)
    await page.evaluate('sessionStorage.clear()')
    await page.reload()
    await page.getByText('This page is locked').waitFor()
    t.pass('without the token it says how to get it')
  }
)

async function addressOf(machine: Machine): Promise<string> {
  return (await machine.json<{ url: string }>('daemon', 'ui')).url
}

/** Which blocks a store has, as `shownIn` says it. The daemon of the machine must not run. */
async function storedIn(machine: Machine, link: string): Promise<string> {
  const { key, secret } = parseLink(link)
  const store = new Corestore(new HypercoreStorage(join(machine.home, 'store')))
  await store.ready()
  try {
    const { signal } = new AbortController()
    const cores = await openDriveCores({ store, key, secret, signal })
    const { core, length } = cores.blobs
    const blocks = Array.from({ length }, (_, block) => (core.bitfield.get(block) ? '#' : '.'))
    await closeDriveCores(cores)
    return blocks.join('')
  } finally {
    await store.close()
  }
}
