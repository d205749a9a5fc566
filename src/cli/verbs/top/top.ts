import type { Command } from 'commander'
import { pause } from '../../../core/abort.ts'
import { printableJson } from '../../../core/safe-text.ts'
import { durationOption } from '../../parse/arguments.ts'
import { readGlobals, type Globals } from '../../parse/globals.ts'
import { writeStdout } from '../../print/stdout.ts'
import type { Sampler } from './sample.ts'
import { compareSamples, topLines, type Room, type TopDocument } from './view.ts'

const USUAL_INTERVAL_MS = 1_000
const LEAST_INTERVAL_MS = 100

interface TopFlags {
  readonly once?: boolean
  /** Milliseconds. */
  readonly interval?: number
}

export function addTop(program: Command): void {
  program
    .command('top')
    .description('watch what the daemon, containers and images are doing')
    .option('--once', 'print it once, as text')
    .addOption(
      durationOption(
        '--interval <duration>',
        'how long a rate is measured, and how often it is shown (default: 1)'
      )
    )
    .addHelpText(
      'after',
      `
On a terminal, \`q\` or Ctrl-C ends it. What moves most comes first. UP and DOWN count blocks of one image; the first line
counts all that the daemon sends and receives. CPU is of one processor. HELD may be below 100 % if only a part is to be kept.
Where standard output is no terminal, it is printed once, or with --interval again and again. --json prints one object, and
with --interval one object per line. Rates are bytes a second.

Examples:
  dat-container top
  dat-container top --once
  dat-container top --json --interval 5s`
    )
    .action(async (flags: TopFlags, command: Command) => top(flags, readGlobals(command)))
}

async function top({ once = false, interval }: TopFlags, { home, output }: Globals): Promise<void> {
  const { default: prettyBytes } = await import('pretty-bytes')
  const { openHome } = await import('../../../home/home.ts')
  const { Sampler: SamplerOfHome } = await import('./sample.ts')
  const intervalMs = Math.max(LEAST_INTERVAL_MS, interval ?? USUAL_INTERVAL_MS)
  const lines = (document: TopDocument, room: Room): string[] =>
    topLines(document, room, (amount) => prettyBytes(amount))
  using sampler = new SamplerOfHome(openHome(home))
  const isTerminal = process.stdout.isTTY && !output.json && !once
  if (isTerminal) {
    await watchOnScreen(sampler, intervalMs, lines)
    return
  }
  const columns = process.stdout.isTTY ? process.stdout.columns : undefined
  const room = { columns, rows: undefined }
  if (once || interval === undefined) {
    const before = await sampler.take()
    await pause(intervalMs)
    const document = compareSamples(before, await sampler.take())
    output.result(document, () => lines(document, room))
    return
  }
  await untilInterrupted((signal) =>
    watch(sampler, { intervalMs, signal }, async (document, isFirst) => {
      // Its rates are not known before there are two samples.
      if (isFirst) return
      const text = output.json
        ? printableJson(JSON.stringify(document))
        : [...lines(document, room), ''].join('\n')
      await writeStdout(Buffer.from(`${text}\n`), signal)
    })
  )
}

async function watchOnScreen(
  sampler: Sampler,
  intervalMs: number,
  lines: (document: TopDocument, room: Room) => string[]
): Promise<void> {
  const { Screen } = await import('./screen.ts')
  const ended = new AbortController()
  using screen = new Screen(() => ended.abort())
  await watch(sampler, { intervalMs, signal: ended.signal }, (document) =>
    screen.show((room) => lines(document, room))
  )
}

/** Takes sample after sample, until `signal` is aborted. */
async function watch(
  sampler: Sampler,
  { intervalMs, signal }: { readonly intervalMs: number; readonly signal: AbortSignal },
  show: (document: TopDocument, isFirst: boolean) => Promise<void> | void
): Promise<void> {
  let before
  while (!signal.aborted) {
    const now = await sampler.take()
    if (signal.aborted) return
    await show(compareSamples(before, now), before === undefined)
    before = now
    await pause(intervalMs, signal)
  }
}

/** Runs something that only an interruption ends. */
async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const ended = new AbortController()
  const end = (): void => ended.abort()
  const signals = ['SIGINT', 'SIGTERM'] as const
  for (const signal of signals) process.on(signal, end)
  try {
    await work(ended.signal)
  } catch (error) {
    if (!ended.signal.aborted) throw error
  } finally {
    for (const signal of signals) process.off(signal, end)
  }
}
