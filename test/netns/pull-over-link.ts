import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { WanNetwork } from '../../bench/wan/network.ts'
import { evenWire, type Wire } from '../../bench/wan/star.ts'
import type { Shared } from '../e2e/results.ts'
import type { Machine } from '../e2e/sandbox.ts'

/** What a pull took. */
export interface PulledOverLink {
  /** Bytes on the reader's device, over the image's stored bytes. */
  readonly times: number
  readonly storedBytes: number
  /** Still there. */
  readonly reader: Machine
}

/**
 * Pulls an image of files that do not compress over links of one kind, and hands what that took to `use`.
 *
 * @param files of `fileBytes` each
 */
export async function pullOverLink(
  { files, fileBytes, wire }: { files: number; fileBytes: number; wire: Wire },
  use: (pulled: PulledOverLink) => Promise<void> | void
): Promise<void> {
  const source = mkdtempSync(join(tmpdir(), 'dat-link-'))
  try {
    mkdirSync(join(source, 'etc'))
    for (let n = 0; n < files; n++)
      writeFileSync(join(source, 'etc', `${n}`), randomBytes(fileBytes))
    await using network = await WanNetwork.open(evenWire(1e9, 0))
    const { link, storedBytes } = await network.publisher.json<Shared>('share', source)
    await network.reshape(wire)
    const reader = network.newReader('reader')
    await reader.ok('daemon', 'start')
    const already = network.reader.deviceBytes().received
    await reader.ok('pull', link)
    const times = (network.reader.deviceBytes().received - already) / storedBytes
    await use({ times, storedBytes, reader })
    await network.endReader(reader)
  } finally {
    rmSync(source, { recursive: true })
  }
}
