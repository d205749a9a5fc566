import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { dropKernelCaches } from '../cold-caches.ts'
import type { Provided, Served } from '../rivals/rival.ts'
import type { Workload } from '../workloads/workload.ts'
import { readyFromDirectory } from './directory-container.ts'
import { runLazily, runPull, runWhole } from './lazy-run.ts'
import type { WanNetwork } from './network.ts'
import { probe } from './readiness-watch.ts'
import { bytesBetween } from './star.ts'
import { traffic } from './traffic.ts'

/** What one cold start took; see bench/README.md. */
export interface Sample {
  readonly r2Ms: number
  readonly r0Ms?: number
  readonly r1Ms?: number
  /** On the reader's interface until ready. */
  readonly receivedBytes: number
  readonly sentBytes: number
  readonly demandReads?: number
  readonly stallMs?: number
}

/** What one start measured, by name: that of the contender, or more. */
export type Samples = Readonly<Record<string, Sample>>

/** One way to the same workload. */
export interface Contender {
  readonly name: string
  start(): Promise<Samples>
}

/** A published workload on a network. */
export interface Stage {
  readonly network: WanNetwork
  readonly workload: Workload
  readonly tree: string
  readonly link: string
}

/** By link, cold. */
export function lazily({ network, workload, link }: Stage, name = 'dat-container'): Contender {
  return { name, start: async () => ({ [name]: await runLazily(network, workload, link) }) }
}

/** The whole image, and nothing started. */
export function pulling({ network, link }: Stage, name = 'pull'): Contender {
  return { name, start: async () => ({ [name]: await runPull(network, link) }) }
}

/** The whole image, then a start, then another without network. */
export function wholly({ network, workload, link }: Stage): Contender {
  return {
    name: 'pull, then boot',
    async start() {
      const { pull, booted, offline } = await runWhole(network, workload, link)
      return { pull, 'pull, then boot': booted, offline }
    }
  }
}

/** So many bytes over one TCP connection: nothing is faster. */
export function floor({ network: { star } }: Stage, name: string, bytes: number): Contender {
  return {
    name,
    async start() {
      const reader = star.host('reader')
      const before = reader.deviceBytes()
      const { elapsedMs } = await traffic(star.host('publisher'), reader, {
        protocol: 'tcp',
        bytes
      })
      const after = reader.deviceBytes()
      return { [name]: { r2Ms: elapsedMs, ...bytesBetween(before, after) } }
    }
  }
}

/** The same from the tree on this disk. */
export function locally(stage: Stage): Contender {
  const served: Served = {
    provide: async () => ({ root: stage.tree, async [Symbol.asyncDispose]() {} }),
    async [Symbol.asyncDispose]() {}
  }
  return fromDirectory(stage, 'T_local', served)
}

/** From a directory that something else brings to the reader. */
export function fromDirectory(stage: Stage, name: string, served: Served): Contender {
  const { network, workload } = stage
  const { reader } = network
  return {
    name,
    async start() {
      const place = await mkdtemp(join(network.directory, 'rival-'))
      let provided: Provided | undefined
      try {
        await using probing = await probe(reader, workload.ready)
        await dropKernelCaches()
        const before = reader.deviceBytes()
        let after = before
        const r2Ms = await readyFromDirectory(
          reader,
          workload,
          probing,
          async () => (provided = await served.provide(reader, place)).root,
          () => (after = reader.deviceBytes())
        )
        return { [name]: { r2Ms, ...bytesBetween(before, after) } }
      } finally {
        await provided?.[Symbol.asyncDispose]()
        await removeUnmounted(place)
      }
    }
  }
}

/** An empty directory for what a rival's server keeps. Disposing removes it. */
export async function serverDirectory(
  network: WanNetwork
): Promise<{ path: string } & AsyncDisposable> {
  const parent = join(network.directory, 'servers')
  await mkdir(parent, { recursive: true })
  const path = await mkdtemp(join(parent, 's-'))
  return { path, [Symbol.asyncDispose]: () => removeUnmounted(path) }
}

/** Nothing is removed below a live mount. */
async function removeUnmounted(path: string): Promise<void> {
  if (readFileSync('/proc/self/mountinfo', 'utf8').includes(`${path}/`)) {
    throw new Error(`something is still mounted in ${path}`)
  }
  await rm(path, { recursive: true, force: true, maxRetries: 3 })
}
