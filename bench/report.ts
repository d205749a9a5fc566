import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'

export type Row = Readonly<Record<string, string | number | boolean | null>>

/** Longer ones are for programs to read. */
const LONGEST_TABLE = 60

/**
 * Prints rows as a table and keeps them, with what the machine is, in `bench/results/NAME.json`.
 * Run from the root of the project.
 */
export function report(name: string, parts: Readonly<Record<string, readonly Row[]>>): void {
  for (const [title, rows] of Object.entries(parts)) {
    if (rows.length === 0 || rows.length > LONGEST_TABLE) continue
    console.log(`\n${title}`)
    console.table(rows)
  }
  mkdirSync('bench/results', { recursive: true })
  const file = `bench/results/${name}.json`
  writeFileSync(file, `${JSON.stringify({ ...machine(), ...parts }, null, 2)}\n`)
  console.log(`kept in ${file}`)
}

function machine(): object {
  return {
    date: new Date().toISOString(),
    commit: execFileSync('git', ['describe', '--always', '--dirty'], { encoding: 'utf8' }).trim(),
    linux: release(),
    node: process.version,
    processor: cpus()[0]?.model ?? 'unknown',
    processors: availableParallelism(),
    memoryMegabytes: Math.round(totalmem() / 1e6)
  }
}
