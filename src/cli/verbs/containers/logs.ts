import { InvalidArgumentError, type Command } from 'commander'
import type { LogLine } from '../../../boot/console/log-lines.ts'
import { printableJson } from '../../../core/safe-text.ts'
import { durationMs } from '../../parse/arguments.ts'
import { readGlobals } from '../../parse/globals.ts'
import { interruptible } from '../../print/interrupt.ts'
import { writeStdout } from '../../print/stdout.ts'

interface LogsFlags {
  readonly follow?: boolean
  readonly tail?: number
  /** Milliseconds since 1970. */
  readonly since?: number
  readonly timestamps?: boolean
}

/** As wide as a time, where none was noted. */
const NO_TIME = '-'.padEnd(24)

export function addLogs(program: Command): void {
  program
    .command('logs')
    .description('print the console output of a detached container')
    .argument('<name>', 'the container')
    .option('-f, --follow', 'keep printing until the container ends')
    .option('-n, --tail <lines>', 'start with this many last lines', lineCount)
    .option(
      '--since <when>',
      'start at a time (2026-01-31T12:00:00Z) or that long ago (10m)',
      moment
    )
    .option('-t, --timestamps', 'print the time at which each line began')
    .addHelpText(
      'after',
      '\nWith --json, each line is a separate document: {"time": …, "text": …}.\n' +
        'The last 30 MB of console output are kept, in three files.\n' +
        '\nExamples:\n  dat-container logs -n 20 -f web\n  dat-container logs --since 1h -t web'
    )
    .action(async (name: string, flags: LogsFlags, command: Command) => {
      const { readLogs } = await import('../../../boot/console/logs.ts')
      const { logLines } = await import('../../../boot/console/log-lines.ts')
      const { home, output } = readGlobals(command)
      await interruptible(async (signal) => {
        const parts = readLogs({
          ...{ home, name, follow: flags.follow ?? false, signal },
          ...(flags.tail === undefined ? {} : { tail: flags.tail }),
          ...(flags.since === undefined ? {} : { sinceMs: flags.since })
        })
        if (!output.json && flags.timestamps !== true) {
          for await (const { data } of parts) await writeStdout(data, signal)
          return
        }
        const shown = output.json ? jsonLine : timedLine
        for await (const line of logLines(parts)) await writeStdout(shown(line), signal)
      })
    })
}

function jsonLine({ timeMs, text }: LogLine): Buffer {
  const time = timeMs === undefined ? null : new Date(timeMs).toISOString()
  const document = JSON.stringify({ time, text: text.toString().replace(/\r$/, '') })
  return Buffer.from(`${printableJson(document)}\n`)
}

function timedLine({ timeMs, text, isWhole }: LogLine): Buffer {
  const time = timeMs === undefined ? NO_TIME : new Date(timeMs).toISOString()
  return Buffer.concat([Buffer.from(`${time} `), text, Buffer.from(isWhole ? '\n' : '')])
}

function lineCount(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('give a number of lines.')
  return Number(text)
}

function moment(text: string): number {
  if (/^\d{4}-\d\d-\d\d/.test(text)) {
    const time = Date.parse(text)
    if (!Number.isNaN(time)) return time
  }
  try {
    return Date.now() - durationMs(text)
  } catch {
    throw new InvalidArgumentError(
      'give a time as 2026-01-31T12:00:00Z, or how long ago: seconds, or a number with ms, s, m or h.'
    )
  }
}
