/**
 * Runs built test files side by side, each in a process of its own: mounts, namespaces and native
 * modules of one cannot disturb another. Prints a line a file, the whole output of what failed, the
 * slowest files and a total. Exit status 1 when anything failed or nothing ran.
 *
 *   node build/scripts/run-tests.js [--build-image] [--jobs N] FILE…
 *
 * Without `--jobs`, one more than there are processors run at once, and twice as many while processors idle:
 * most files wait more than they compute.
 *
 * With `--build-image`, HyperOS is built meanwhile where os-image/dist is not of this checkout. Files
 * that start it run one by one, beside the others, from then on, and as many as there are processors when no other is left; a build that
 * fails is a failure, and they do not run.
 */
import { readFileSync, statSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { relative } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { execa } from 'execa'
import { IdleShare } from './idle-share.ts'

/** A file that takes longer hangs. */
const FILE_TIMEOUT_MS = 25 * 60_000
const PROCESSORS = availableParallelism()
/** So many run at once however busy the processors are. */
const LEAST_JOBS = PROCESSORS + 1
/** So many run at once where the processors would idle. */
const MOST_JOBS = 3 * PROCESSORS
/** Another file begins where the processors idled this much of the last {@link LOOK_MS}. */
const IDLE_SHARE = 0.15
const LOOK_MS = 2_000
/** In the text of a built test that starts HyperOS, or in its path. */
const IMAGE_USER = /os-image\/(dist|guest)|build\/test\/os-image\//
/** Tests of these measure a link or start machines and so take long: they begin first. */
const LONG = /\/(e2e|netns|hostile|node-releases)\//
/** The rooms do not tell it of these, nor does the length of their text: each takes a minute or more. */
const LONGEST =
  /\/(e2e\/(fidelity|restarts|peer-loss)|machine\/(lifecycle\/lifecycle|os-image\/upgrade))\.test\.js$/
/** How much is shown of a build, or of a file that crashed. */
const SHOWN_LINES = 25
const SLOWEST = 10

const totals = { passed: 0, failed: 0, skipped: 0 }
const failures: string[] = []
/** Failed checks with what they say, and output of what crashed: a long log hides them. */
const reasons: string[] = []
const durations: { readonly name: string; readonly seconds: number }[] = []

const { values, positionals: files } = parseArgs({
  options: { 'build-image': { type: 'boolean' }, jobs: { type: 'string' } },
  allowPositionals: true
})
const [least, most] =
  values.jobs === undefined ? [LEAST_JOBS, MOST_JOBS] : [Number(values.jobs), Number(values.jobs)]
const started = Date.now()
const usersOfImage = files.filter((file) => IMAGE_USER.test(file + readFileSync(file, 'utf8')))
const others = files.filter((file) => !usersOfImage.includes(file))
const image = values['build-image'] && usersOfImage.length > 0 ? buildImage() : undefined

const queues: Queues = { others: longestFirst(others), usersOfImage: [], machines: 0 }
await runAll(queues, queueImageTests())

const slowest = durations.sort((a, b) => b.seconds - a.seconds).slice(0, SLOWEST)
console.log(`slowest of ${durations.length} files, ${least} to ${most} at once:`)
for (const { name, seconds } of slowest) console.log(`${seconds.toFixed(1).padStart(7)} s ${name}`)
console.log(`all of it took ${secondsSince(started).toFixed(0)} s`)
for (const reason of reasons) console.log(reason)
if (failures.length > 0) console.log(`failed files: ${failures.join(', ')}`)
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
process.exitCode = totals.failed > 0 || totals.passed === 0 ? 1 : 0

/** What is still to run. */
interface Queues {
  readonly others: string[]
  /** Empty until there is an image. */
  readonly usersOfImage: string[]
  /** How many of these run. One keeps a processor busy all the time: beside other files there is one at a time. */
  machines: number
}

async function queueImageTests(): Promise<void> {
  if ((await image) !== false) {
    queues.usersOfImage.push(...longestFirst(usersOfImage))
    return
  }
  failures.push('os-image')
  totals.failed++
  for (const file of usersOfImage) console.log(`not run, as there is no image: ${file}`)
}

/**
 * Runs all files: `least` at once, and more, one by one, as long as processors idle.
 *
 * @param queued ends when all files are in the queues
 */
async function runAll(queues: Queues, queued: Promise<void>): Promise<void> {
  const running = new Set<Promise<void>>([queued])
  void queued.then(() => running.delete(queued))
  const idle = new IdleShare()
  let lookedAt = Date.now()
  const begin = (): boolean => {
    const file = nextFile(queues)
    if (file === undefined) return false
    const ran = file.then(() => void running.delete(ran))
    running.add(ran)
    return true
  }
  for (;;) {
    while (running.size < least && begin());
    if (running.size === 0) return
    if (Date.now() - lookedAt >= LOOK_MS) {
      if (idle.sinceLast() >= IDLE_SHARE && running.size < most) begin()
      lookedAt = Date.now()
    }
    await Promise.race([sleep(LOOK_MS), ...running])
  }
}

/** Runs the next file that may begin, if there is one. */
function nextFile(queues: Queues): Promise<void> | undefined {
  const mayStart = queues.machines < (queues.others.length === 0 ? PROCESSORS : 1)
  const machine = mayStart ? queues.usersOfImage.shift() : undefined
  if (machine !== undefined) {
    queues.machines++
    return runFile(machine).finally(() => queues.machines--)
  }
  const other = queues.others.shift()
  return other === undefined ? undefined : runFile(other)
}

/** A long file that began last would have the machine to itself. The length of its text tells somewhat. */
function longestFirst(paths: readonly string[]): string[] {
  const factor = (path: string): number =>
    LONGEST.test(path) ? 1_000_000 : LONG.test(path) ? 1_000 : 1
  const weight = (path: string): number => statSync(path).size * factor(path)
  return [...paths].sort((a, b) => weight(b) - weight(a))
}

async function runFile(file: string): Promise<void> {
  const name = relative('build', file).replace(/\.js$/, '')
  const started = Date.now()
  const ran = await execa(process.execPath, [file], {
    all: true,
    reject: false,
    stdin: 'ignore',
    timeout: FILE_TIMEOUT_MS,
    env: { FORCE_COLOR: '0' }
  })
  const seconds = secondsSince(started)
  durations.push({ name, seconds })
  const output = ran.all
  const checks = count(output, /^ {4}ok \d+ /gm)
  const tests = count(output, /^ok \d+ - (?!.*# SKIP)/gm)
  const skips = [...output.matchAll(/^ok \d+ - (.*) # SKIP(.*)$/gm)]
  const failed = count(output, /^not ok \d+ - /gm)
  const crashed = ran.exitCode !== 0 && failed === 0 ? 1 : 0
  totals.passed += tests
  totals.failed += failed + crashed
  totals.skipped += skips.length
  const bad = failed + crashed > 0
  console.log(
    `${bad ? 'FAILED' : 'ok    '} ${name}: ${tests} tests, ${checks} checks, ${seconds.toFixed(1)} s`
  )
  for (const [, title, reason] of skips) console.log(`       skipped: ${title}${reason}`)
  if (bad) {
    failures.push(name)
    console.log(output)
    reasons.push(`${name}: ${reasonOf(output, ran.exitCode ?? ran.signal, ran.timedOut)}`)
    console.log(reasons.at(-1))
  }
}

/** What tells why a file failed, without what went well. */
function reasonOf(output: string, ended: number | string | undefined, timedOut: boolean): string {
  const checks = [...output.matchAll(/^ {4}not ok .*(?:\n {6}.*)*/gm)].map(([text]) => text)
  const last = output.split('\n').slice(-SHOWN_LINES).join('\n')
  const end = timedOut
    ? `was stopped after ${FILE_TIMEOUT_MS / 60_000} minutes`
    : `ended with ${ended}`
  return [end, ...checks, last].join('\n')
}

/**
 * A quick image, whose tests run one by one and so are the last to end. The kernel, where one is to be
 * made, has the least priority: that is the builder's affair.
 *
 * @returns whether it is there
 */
async function buildImage(): Promise<boolean> {
  const started = Date.now()
  const command = ['build/os-image/main.js', 'build', '--if-changed', '--quick']
  const built = await execa(process.execPath, command, {
    all: true,
    reject: false,
    stdin: 'ignore'
  })
  console.log(
    `${built.failed ? 'FAILED' : 'ok    '} os-image, beside the tests, ${secondsSince(started).toFixed(1)} s`
  )
  if (built.failed) console.log(built.all.split('\n').slice(-SHOWN_LINES).join('\n'))
  return !built.failed
}

function secondsSince(started: number): number {
  return (Date.now() - started) / 1_000
}

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0
}
