import { chromium, type Browser, type LaunchOptions } from 'playwright-core'
import { findProgram } from '../../src/machine/qemu/find-qemu.ts'

/** As Debian and others name it. */
const NAMES = ['chromium-headless-shell', 'chromium', 'chromium-browser', 'google-chrome']

/** The browser of this machine, if it has one that can be driven. */
const found = NAMES.map((name) => findProgram('linux', name)).find((path) => path !== undefined)

/** Why no page can be opened here; undefined where one can. */
export const noBrowser =
  found === undefined
    ? 'no Chromium is installed: apt-get install chromium-headless-shell'
    : undefined

/** Starts Chromium without a window. It asks nobody for anything by itself. */
export async function openBrowser(options: LaunchOptions = {}): Promise<Browser> {
  return chromium.launch({
    ...(found !== undefined && { executablePath: found }),
    // Chromium's own sandbox does not start as root.
    chromiumSandbox: false,
    args: ['--disable-background-networking', '--disable-component-update'],
    ...options
  })
}
