import { once } from 'node:events'
import { watch } from 'node:fs'
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { CleanupStack } from '../../src/core/cleanup-stack.ts'
import { background, server } from '../rivals/rival.ts'
import type { CrowdWay } from './way.ts'

const TRACKER = fileURLToPath(new URL('./tracker-main.js', import.meta.url))
const TRACKER_PORT = 6969
/** What transmission-cli listens at unless it is told otherwise. */
const PEER_PORT = 51_413
const DONE = 'done'

/** A torrent of one archive, with a tracker, without encryption, as Transmission does it by default. */
export const TRANSMISSION: CrowdWay = {
  name: 'transmission',
  programs: { 'transmission-cli': 'transmission-cli', 'transmission-create': 'transmission-cli' },
  async serve(network, source) {
    const { star } = network
    const directory = await mkdtemp(join(network.directory, 'torrent-'))
    const archive = join(directory, 'image.tar')
    const torrent = join(directory, 'image.torrent')
    await execa('tar', ['-cf', archive, '-C', source, '.'])
    const { size } = await stat(archive)
    const tracker = star.host('dht')
    const url = `http://${tracker.address}:${TRACKER_PORT}/announce`
    await execa('transmission-create', ['-t', url, '-o', torrent, archive])
    const ends = new CleanupStack()
    ends.defer(() => rm(directory, { recursive: true }))
    try {
      const command = [process.execPath, TRACKER, tracker.address, String(TRACKER_PORT)]
      ends.hold(await server(tracker, TRACKER_PORT, ...command))
      const seeding = join(directory, 'publisher')
      await mkdir(seeding)
      // Files of the right size that are there are taken for complete, so it seeds at once.
      ends.hold(
        await server(
          star.host('publisher'),
          PEER_PORT,
          ...['transmission-cli', '-M', '-g', seeding, '-w', directory, torrent]
        )
      )
    } catch (error) {
      throw await ends.undoAfter(error)
    }
    return {
      bytes: size,
      async reader(host) {
        const own = join(directory, host)
        const script = join(own, 'finish')
        const state = join(own, 'state')
        await mkdir(state, { recursive: true })
        await writeFile(script, `#!/bin/sh\n: > ${join(state, DONE)}\n`, { mode: 0o755 })
        const running = new CleanupStack()
        running.defer(() => rm(own, { recursive: true }))
        return {
          async take() {
            await using watching = watchFor(state, DONE)
            running.hold(
              background(
                star.host(host),
                ...['transmission-cli', '-M', '-g', own, '-w', own, '-f', script, torrent]
              )
            )
            await watching.seen
          },
          counts: async () => ({}),
          [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]()
        }
      },
      costs: async () => ({}),
      [Symbol.asyncDispose]: () => ends[Symbol.asyncDispose]()
    }
  }
}

/** Watches a directory. `seen` resolves once a file of that name appears in it. */
function watchFor(directory: string, name: string): AsyncDisposable & { seen: Promise<void> } {
  const watcher = watch(directory)
  const seen = (async () => {
    for (;;) {
      const [, file] = (await once(watcher, 'change')) as [string, string]
      if (basename(file) === name) return
    }
  })()
  return {
    seen,
    async [Symbol.asyncDispose]() {
      watcher.close()
    }
  }
}
