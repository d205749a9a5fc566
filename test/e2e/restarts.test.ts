import { join } from 'node:path'
import test from 'brittle'
import type { Shared } from './results.ts'
import { restarts, sourceOfRounds } from './restarts.ts'
import { LONG, Sandbox } from './sandbox.ts'

const ROUNDS = 5

for (const mode of ['erofs', 'fuse'] as const) {
  test(`daemons are killed under reads, mappings and walks: ${mode}`, LONG, async (t) => {
    await using sandbox = await Sandbox.open()
    const source = sourceOfRounds(join(sandbox.directory, 'source'), ROUNDS)
    const publisher = await sandbox.machine('publisher')
    const shared = await publisher.json<Shared>('share', source)
    for (const whose of ['reader', 'publisher'] as const) {
      const reader = await sandbox.machine(`reader-of-${whose}`)
      const options = { sandbox, publisher, reader, shared, source, rounds: ROUNDS, mode, whose }
      for await (const stalls of restarts(options)) {
        for (const { way, failures, uses } of stalls) {
          t.alike(failures, [], `the ${whose}'s is killed: ${way} fails nothing`)
          t.ok(uses > 0, `${uses} times`)
        }
        t.comment(stalls.map(({ way, beyondMs }) => `${way} ${Math.round(beyondMs)} ms`).join(', '))
      }
    }
  })
}
