import { cpus } from 'node:os'

interface Times {
  readonly idle: number
  readonly all: number
}

/** Tells how much this machine's processors idle, whoever keeps them busy. */
export class IdleShare {
  #before = processorTimes()

  /** @returns the share of processor time that nobody used since the last call, from 0 to 1 */
  sinceLast(): number {
    const now = processorTimes()
    const { idle, all } = this.#before
    this.#before = now
    return now.all === all ? 0 : (now.idle - idle) / (now.all - all)
  }
}

function processorTimes(): Times {
  const times = cpus().map(({ times }) => times)
  const idle = times.reduce((sum, each) => sum + each.idle, 0)
  const busy = times.reduce((sum, { user, nice, sys, irq }) => sum + user + nice + sys + irq, 0)
  return { idle, all: idle + busy }
}
