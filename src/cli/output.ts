import { writeSync } from 'node:fs'
import { ContainerError } from '../image/errors.ts'

/** How a command talks: one JSON document on stdout, or text for people. */
export interface Output {
  readonly json: boolean
  /** Prints the command's result: `value` with `--json`, else the lines of `text`. */
  result(value: unknown, text: () => readonly string[]): void
  /** Says something for people on stderr; silent with `--json`. */
  note(line: string): void
}

export function createOutput(json: boolean): Output {
  return {
    json,
    result(value, text) {
      const lines = json ? [JSON.stringify(value, null, 2)] : text()
      writeAll(1, lines.map((line) => `${line}\n`).join(''))
    },
    note(line) {
      if (!json) writeAll(2, `${line}\n`)
    }
  }
}

/** One line on stderr that says what happened and what to do; an object on stderr with `--json`. */
export function printError(error: unknown, json: boolean): void {
  const known = error instanceof ContainerError ? error : undefined
  const message = printable(error instanceof Error ? error.message : String(error))
  if (json) {
    const document = { error: { code: known?.code ?? 'IO', message, hint: known?.hint ?? null } }
    writeAll(2, `${JSON.stringify(document)}\n`)
    return
  }
  const hint = known?.hint ? ` (${printable(known.hint)})` : ''
  writeAll(2, `dat-container: ${message}${hint}\n`)
}

/** Text from elsewhere must not drive the terminal, nor break the line. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}

/** Columns padded to their widest cell, two spaces between. */
export function table(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    })
  }
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd()
  )
}

/** Writes all of it before it returns; a reader that has gone, as with `| head`, is no error. */
export function writeAll(descriptor: 1 | 2, text: string): void {
  const bytes = Buffer.from(text)
  for (let offset = 0; offset < bytes.length;) {
    try {
      offset += writeSync(descriptor, bytes, offset)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined
      if (code === 'EAGAIN') continue
      if (code === 'EPIPE') return
      throw error
    }
  }
}
