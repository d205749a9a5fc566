import { join } from 'node:path'
import test from 'brittle'
import type { Shared } from './results.ts'
import { restarts, sourceOfRounds } from './restarts.ts'
import { LONG, Machine, Sandbox } from './sandbox.ts'

const ROUNDS = 5

for (const [mode, how] of [
  ['erofs', {}],
  ['fuse', {}],
  ['fuse', { DAT_CONTAINER_LISTEN: 'none' }]
] as const) {
  const title = 'DAT_CONTAINER_LISTEN' in how ? `${mode}, over UDP alone` : mode
  test(`daemons are killed under reads, mappings and walks: ${title}`, LONG, async (t) => {
    await using sandbox = await Sandbox.open()
    const machine = async (name: string): Promise<Machine> =>
      new Machine((await sandbox.machine(name)).home, { ...sandbox.sandboxEnvironment, ...how })
    const source = sourceOfRounds(join(sandbox.directory, 'source'), ROUNDS)
    const publisher = await machine('publisher')
    const shared = await publisher.json<Shared>('share', source)
    for (const whose of ['reader', 'publisher'] as const) {
      const reader = await machine(`reader-of-${whose}`)
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
