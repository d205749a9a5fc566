import type { Shared } from '../../test/e2e/results.ts'
import { rounded } from '../statistics.ts'
import type { Machine } from '../../test/e2e/sandbox.ts'
import type { WanNetwork } from '../wan/network.ts'
import { processorSeconds } from './processor-seconds.ts'
import type { CrowdReader, CrowdWay } from './way.ts'

interface Status {
  readonly connections: number
  readonly pid: number
}

interface Profiled extends Shared {
  readonly profile: { readonly storedBytes: number }
}

/** What a container of the crowd does: it is ready when it has read all files of `/data`. */
const READS_ALL = ['sh', '-c', 'cat /data/* > /dev/null']

/** `pull`: a reader is done when it has the whole image. */
export const PULL: CrowdWay = {
  name: 'pull',
  programs: {},
  async serve(network, source) {
    const { link, storedBytes } = await network.publisher.json<Shared>('share', source, '-n', 'x')
    return served(network, storedBytes, (machine) => machine.ok('pull', link))
  }
}

/** `boot` of an image with a profile: a reader is done when its container has read all data and has ended. */
export const BOOT: CrowdWay = {
  name: 'boot',
  programs: {},
  async serve(network, source) {
    const shared = await network.publisher.json<Profiled>(
      ...['share', source, '-n', 'y', '--profile', '--', ...READS_ALL]
    )
    return served(network, shared.profile.storedBytes, (machine, host) =>
      machine.ok('boot', shared.link, '-n', `crowd-${host}`, '--rm', '--', ...READS_ALL)
    )
  }
}

function served(
  network: WanNetwork,
  bytes: number,
  take: (machine: Machine, host: string) => Promise<unknown>
): Awaited<ReturnType<CrowdWay['serve']>> {
  return {
    bytes,
    async reader(host): Promise<CrowdReader> {
      const machine = network.newMachine(host)
      await machine.ok('daemon', 'start')
      return {
        async take() {
          await take(machine, host)
        },
        async counts() {
          const { connections, pid } = await machine.json<Status>('daemon', 'status')
          return { peers: connections, cpuSeconds: processorSeconds(pid) }
        },
        [Symbol.asyncDispose]: () => network.endMachine(machine)
      }
    },
    async costs() {
      const { pid } = await network.publisher.json<Status>('daemon', 'status')
      return { 'processor s, publisher so far': rounded(processorSeconds(pid), 1) }
    },
    async [Symbol.asyncDispose]() {}
  }
}
