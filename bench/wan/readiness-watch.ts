import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Readiness } from '../workloads/workload.ts'
import { nowMs } from './clock.ts'
import type { StarHost } from './star.ts'

const PROBE = fileURLToPath(new URL('./probe-main.js', import.meta.url))

/** Asks for a workload's answer from outside of it. */
export interface Probe extends AsyncDisposable {
  /** When the answer came, in milliseconds of nowMs(). */
  readonly answered: Promise<number>
}

/** Starts asking on a host; returns when it does, so that its start-up is not in what is measured. */
export async function probe(host: StarHost, ready: Readiness): Promise<Probe | undefined> {
  if (ready.by === 'output' || ready.by === 'systemd') return undefined
  const [program = '', ...prefix] = host.prefix
  const args = [...prefix, process.execPath, PROBE, JSON.stringify(ready)]
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  await lines.next()
  const answer = async (): Promise<number> => Number((await lines.next()).value)
  return {
    answered: answer(),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
}

/** Reads a stream to its end. @returns when the marker came in it; undefined when it ended without */
export async function markerIn(stream: Readable, marker: string): Promise<number | undefined> {
  let text = ''
  return new Promise((resolve) => {
    stream.once('end', () => resolve(undefined))
    // Keeps reading after that: nobody is to wait for a full pipe.
    stream.on('data', (chunk) => {
      text = (text + String(chunk)).slice(-8_192)
      if (text.includes(marker)) resolve(nowMs())
    })
  })
}
