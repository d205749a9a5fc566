import { setTimeout as sleep } from 'node:timers/promises'
import type { Listed } from './results.ts'
import type { Machine } from './sandbox.ts'

const POLL_MS = 100

/** Waits until a machine's only image has its files listed for other tools, which follows a publish. */
export async function filesListed(machine: Machine): Promise<Listed> {
  for (;;) {
    const [image] = await machine.json<Listed[]>('images')
    if (image === undefined) throw new Error('the image is gone')
    if (image.filesListed) return image
    await sleep(POLL_MS)
  }
}
