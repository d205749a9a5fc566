import { writeSync } from 'node:fs'
import { ContainerError, requestIdOf, systemErrorCode, type ErrorCode } from '../../core/errors.ts'
import { printable, printableJson, withoutSecrets } from '../../core/safe-text.ts'
import { outputError } from './stdout.ts'

const LOGGED_CODES: ReadonlySet<ErrorCode> = new Set(['IO', 'STORE_DAMAGED', 'DAEMON_UNREACHABLE'])
const DEBUG_LEVELS: ReadonlySet<string> = new Set(['debug', 'trace'])

export { printable } from '../../core/safe-text.ts'

/**
 * How a command talks: one JSON document on stdout, or text for people. The one place that prepares text for a
 * terminal: nothing that is printed here drives one, or forges a line.
 */
export interface Output {
  readonly json: boolean
  /** Prints the command's result: `value` with `--json`, else `text`, whose items are lines. */
  result(value: unknown, text: () => readonly string[]): void
  /** Says something for people on stderr; silent with `--json`. */
  note(line: string): void
}

/**
 * @param options.links whether links have their secrets; else they are mirror links
 * @param options.dht nodes of a private DHT, which recipients of a link need, too
 */
export function createOutput(options: {
  readonly json: boolean
  readonly links: boolean
  readonly dht?: readonly string[]
}): Output {
  const { json } = options
  const shown = options.links ? (text: string) => text : withoutSecrets
  return {
    json,
    result(value, text) {
      const lines = json ? [printableJson(JSON.stringify(value, null, 2))] : text().map(printable)
      writeAll(1, shown(lines.map((line) => `${line}\n`).join('')))
      if (options.dht && !json) {
        this.note(`these links work only in this private DHT: --bootstrap ${options.dht.join(',')}`)
      }
    },
    note(line) {
      if (!json) writeAll(2, `${withoutSecrets(printable(line))}\n`)
    }
  }
}

/** One line on stderr that says what happened and what to do; an object on stderr with `--json`. */
export function printError(error: unknown, json: boolean): void {
  const known = error instanceof ContainerError ? error : undefined
  const message = withoutSecrets(error instanceof Error ? error.message : String(error))
  const hint = known?.hint === undefined ? undefined : withoutSecrets(known.hint)
  const requestId = requestIdOf(error)
  if (json) {
    const code = known?.code ?? 'IO'
    const document = { error: { code, message, hint: hint ?? null, requestId: requestId ?? null } }
    writeAll(2, `${printableJson(JSON.stringify(document))}\n`)
    return
  }
  const logged =
    requestId !== undefined && needsLog(known) && `request ${requestId} in the daemon's log`
  const advice = [hint, logged].filter((part) => typeof part === 'string' && part !== '')
  const said = advice.length > 0 ? `${message} (${advice.join('; ')})` : message
  writeAll(2, `${printable(`dat-container: ${said}`)}\n`)
}

/** Whether an error is one of which the daemon's log may tell more than its message. */
function needsLog(error: ContainerError | undefined): boolean {
  const isUnforeseen = error === undefined || LOGGED_CODES.has(error.code)
  return isUnforeseen || DEBUG_LEVELS.has(process.env['DAT_CONTAINER_LOG_LEVEL'] ?? '')
}

/** Writes all of it before it returns; a reader that has gone, as with `| head`, is no error. */
export function writeAll(descriptor: 1 | 2, text: string): void {
  const bytes = Buffer.from(text)
  for (let offset = 0; offset < bytes.length;) {
    try {
      offset += writeSync(descriptor, bytes, offset)
    } catch (error) {
      const code = systemErrorCode(error)
      if (code === 'EAGAIN') continue
      if (code === 'EPIPE') return
      throw descriptor === 1 && code !== undefined ? outputError(error, code) : error
    }
  }
}
