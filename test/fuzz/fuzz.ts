import { Worker } from 'node:worker_threads'
import type test from 'brittle'
import * as fc from 'fast-check'
import { ContainerError } from '../../src/core/errors.ts'

type TestInstance = ReturnType<typeof test>

/** Seeds are fixed, so that a run finds what the last one found. Both variables make it go further. */
const SEED = Number(process.env['DAT_CONTAINER_FUZZ_SEED'] ?? 20_260_101)
const TIMES = Number(process.env['DAT_CONTAINER_FUZZ_TIMES'] ?? 1)
const MAX_CASE_MS = 5_000
const MAX_CASE_BYTES = 256 * 2 ** 20

/** How many cases ended in which way. */
export interface Outcome {
  cases: number
  accepted: number
  slowestMs: number
  largestBytes: number
}

/** How many cases to run, and how many of them must get past every check of the code under test. */
export interface Amount {
  /** Cases to run; DAT_CONTAINER_FUZZ_TIMES multiplies them. */
  readonly cases: number
  /**
   * The fewest cases that `judge` must return from without an error. A decoder that refuses everything would pass
   * any other check. Set it to about a third of what the fixed seed gives.
   */
  readonly accepted: number
}

/**
 * Gives `judge` many values. It may return, or throw a ContainerError; anything else, a case of more
 * than five seconds or one that allocates more than 256 MiB fails the test, with the seed and the
 * smallest value that fails. So does a run in which too few values were accepted. A case that never ends is
 * ended with the process, after it said which.
 */
export async function fuzz<T>(
  t: TestInstance,
  { cases, accepted: floor }: Amount,
  values: fc.Arbitrary<T>,
  judge: (value: T) => unknown
): Promise<Outcome> {
  const outcome: Outcome = { cases: 0, accepted: 0, slowestMs: 0, largestBytes: 0 }
  const beats = new Int32Array(new SharedArrayBuffer(4))
  const watchdog = watch(beats)
  const property = fc.asyncProperty(values, async (value) => {
    outcome.cases++
    Atomics.add(beats, 0, 1)
    const before = process.memoryUsage().arrayBuffers
    const started = performance.now()
    try {
      await judge(value)
      outcome.accepted++
    } catch (error) {
      if (!(error instanceof ContainerError)) throw error
    }
    const took = performance.now() - started
    const grown = process.memoryUsage().arrayBuffers - before
    outcome.slowestMs = Math.max(outcome.slowestMs, took)
    outcome.largestBytes = Math.max(outcome.largestBytes, grown)
    if (took > MAX_CASE_MS) throw new Error(`a case took ${took} ms`)
    if (grown > MAX_CASE_BYTES) throw new Error(`a case allocated ${grown} bytes`)
  })
  const details = await fc.check(property, { seed: SEED, numRuns: cases * TIMES })
  await watchdog.terminate()
  if (details.failed) {
    const counterexample = fc.stringify(details.counterexample)
    t.fail(`seed ${SEED}, path ${details.counterexamplePath}: ${counterexample}`)
    t.comment(details.errorInstance instanceof Error ? details.errorInstance.stack! : '')
    return outcome
  }
  const { accepted, slowestMs, largestBytes } = outcome
  const facts = `${accepted} accepted, slowest ${slowestMs.toFixed(1)} ms, ${largestBytes} bytes`
  t.ok(
    outcome.cases >= cases * TIMES && accepted >= floor * TIMES,
    `seed ${SEED}: ${outcome.cases} cases, ${facts}, at least ${floor * TIMES} expected`
  )
  return outcome
}

/** A loop that never ends leaves no turn to a timer of its own thread. A busy machine gets twice the time. */
function watch(beats: Int32Array): Worker {
  return new Worker(new URL('./watchdog-main.js', import.meta.url), {
    workerData: { beats, maxMs: 2 * MAX_CASE_MS, seed: SEED }
  })
}
