/**
 * Draws the pictures of the documentation into `docs/img/`.
 *
 *   node build/scripts/pictures.js [ROOTFS]
 *
 * With a root filesystem, takes pictures of the page while it is fetched, measures a boot of it and keeps that as
 * `docs/img/boot.json`; without, draws the boot that was kept. The chart of speeds is drawn from `bench/results/wan.json`.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { bootPicture } from './pictures/boot-picture.ts'
import { takePagePictures } from './pictures/page-pictures.ts'
import { measureBoot, type MeasuredBoot } from './pictures/measure-boot.ts'
import { processesPicture } from './pictures/processes-picture.ts'
import { speedPicture, type WanRow } from './pictures/speed-picture.ts'

const PICTURES = 'docs/img'
const BOOT = `${PICTURES}/boot.json`
const WAN = 'bench/results/wan.json'
const MBIT = 100
const RTT_MS = 50

interface WanResults {
  readonly summary: readonly (WanRow & { readonly 'Mbit/s': number; readonly 'RTT ms': number })[]
}

const rootfs = process.argv[2]
await mkdir(PICTURES, { recursive: true })
if (rootfs !== undefined) {
  await takePagePictures(rootfs, {
    light: `${PICTURES}/page.png`,
    dark: `${PICTURES}/page-start.png`
  })
  await writeFile(BOOT, `${JSON.stringify(await measureBoot(rootfs), null, 2)}\n`)
}
const boot = await json<MeasuredBoot>(BOOT)
const { summary } = await json<WanResults>(WAN)
const measured = summary.filter((row) => row['Mbit/s'] === MBIT && row['RTT ms'] === RTT_MS)
await draw('boot', bootPicture(boot))
await draw('processes', processesPicture())
await draw('speed', speedPicture(measured, MBIT, RTT_MS))

async function draw(name: string, picture: string): Promise<void> {
  await writeFile(`${PICTURES}/${name}.svg`, picture)
  console.log(`drawn: ${PICTURES}/${name}.svg`)
}

async function json<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, 'utf8')) as T
}
