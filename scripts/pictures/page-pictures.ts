import { mkdir, rm } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Browser, Page } from 'playwright-core'
import { openBrowser } from '../../test/e2e/browser.ts'
import type { Shared } from '../../test/e2e/results.ts'
import { Machine, Sandbox } from '../../test/e2e/sandbox.ts'

/** CSS pixels. */
const WIDTH = 1_200
const HEIGHTS = { light: 980, dark: 720 }
/** With so much of the image here, the map shows most. */
const SHOWN_PERCENT = 55
/** A new daemon needs this long to find its place in the DHT. */
const SETTLE_MS = 1_500
const LOOK_MS = 200
/** The page shows where the home is. It is made for the pictures, and must not be there. */
const HOME = '/srv/dat-container'

/**
 * Takes two pictures of the page: in the light theme of an image that is being fetched while another reader and a mirror
 * fetch it, too, and in the dark one of a container's start. Needs root.
 *
 * @param rootfs has an init
 * @param paths where the pictures go
 */
export async function takePagePictures(
  rootfs: string,
  paths: { readonly light: string; readonly dark: string }
): Promise<void> {
  await using sandbox = await Sandbox.open()
  const publisher = await sandbox.machine('publisher')
  const others = [await sandbox.machine('mirror'), await sandbox.machine('other')] as const
  await mkdir(HOME, { mode: 0o700 })
  const reader = new Machine(HOME, sandbox.sandboxEnvironment)
  try {
    await publisher.ok('daemon', 'start', '--max-up', '4M')
    const shared = await publisher.json<Shared>('share', rootfs, '--name', 'debian', '--profile')
    await reader.ok('daemon', 'start', '--ui')
    await sleep(SETTLE_MS)
    await reader.ok('boot', shared.link, '-n', 'web', '-d', '--wait', 'ready')
    await using browser = await openBrowser()
    const start = await openPage(browser, reader, 'dark')
    await start.locator('#starts a').first().click()
    await start.locator('.waterfall').waitFor()
    await start.screenshot({ path: paths.dark })
    await start.close()

    const image = await openPage(browser, reader, 'light')
    const [mirror, other] = others
    const fetched = [
      other.run('pull', shared.link),
      mirror.run('mirror', shared.mirrorLink),
      reader.run('pull', shared.link)
    ]
    const here = image.locator('.figure .value').first()
    while (!(parseFloat((await here.textContent()) ?? '') >= SHOWN_PERCENT)) await sleep(LOOK_MS)
    await image.screenshot({ path: paths.light })
    await Promise.all(fetched)
  } finally {
    await reader.shutDown()
    await rm(HOME, { recursive: true })
  }
}

async function openPage(
  browser: Browser,
  machine: Machine,
  colorScheme: 'light' | 'dark'
): Promise<Page> {
  const viewport = { width: WIDTH, height: HEIGHTS[colorScheme] }
  const page = await (await browser.newContext({ colorScheme, viewport })).newPage()
  await page.goto((await machine.json<{ url: string }>('daemon', 'ui')).url)
  await page.locator('#images a').first().waitFor()
  return page
}
