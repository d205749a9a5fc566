import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { StarHost } from './star.ts'
import type { TrafficJob, TrafficResult } from './traffic-main.ts'

const TRAFFIC = fileURLToPath(new URL('./traffic-main.js', import.meta.url))

/** Sends traffic from one host to another, both in processes of their own. @returns what arrived */
export async function traffic(
  from: StarHost,
  to: StarHost,
  job: Omit<TrafficJob, 'role' | 'address' | 'port'>
): Promise<TrafficResult> {
  const receiver = start(to, { ...job, role: 'receive', address: to.address, port: 0 })
  const { port } = (await receiver.line()) as { port: number }
  const sender = start(from, { ...job, role: 'send', address: to.address, port })
  try {
    return (await receiver.line()) as TrafficResult
  } finally {
    sender.end()
    receiver.end()
  }
}

function start(host: StarHost, job: TrafficJob) {
  const [program = '', ...prefix] = host.prefix
  const args = [...prefix, process.execPath, TRAFFIC, JSON.stringify(job)]
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    line: async (): Promise<unknown> => {
      const { done, value } = await lines.next()
      if (done === true) throw new Error(`${job.role} of ${job.protocol} ended early`)
      return JSON.parse(value)
    },
    end: () => child.kill('SIGKILL')
  }
}
