/**
 * Runs built test files one after another, each in a process of its own: mounts, namespaces and
 * native modules of one cannot disturb the next. Prints a line a file, the whole output of what
 * failed, and a total. Exit status 1 when anything failed or nothing ran.
 */
import { relative } from 'node:path'
import { execa } from 'execa'

/** A file that takes longer hangs. */
const FILE_TIMEOUT_MS = 15 * 60_000

const totals = { passed: 0, failed: 0, skipped: 0 }
const failures: string[] = []

for (const file of process.argv.slice(2)) {
  const name = relative('build', file).replace(/\.js$/, '')
  const started = Date.now()
  const ran = await execa(process.execPath, [file], {
    all: true,
    reject: false,
    stdin: 'ignore',
    timeout: FILE_TIMEOUT_MS,
    env: { FORCE_COLOR: '0' }
  })
  const output = ran.all
  const checks = count(output, /^ {4}ok \d+ /gm)
  const tests = count(output, /^ok \d+ - (?!.*# SKIP)/gm)
  const skips = [...output.matchAll(/^ok \d+ - (.*) # SKIP(.*)$/gm)]
  const failed = count(output, /^not ok \d+ - /gm)
  const crashed = ran.exitCode !== 0 && failed === 0 ? 1 : 0
  totals.passed += tests
  totals.failed += failed + crashed
  totals.skipped += skips.length
  const seconds = ((Date.now() - started) / 1_000).toFixed(1)
  const bad = failed + crashed > 0
  console.log(
    `${bad ? 'FAILED' : 'ok    '} ${name}: ${tests} tests, ${checks} checks, ${seconds} s`
  )
  for (const [, title, reason] of skips) console.log(`       skipped: ${title}${reason}`)
  if (bad) {
    failures.push(name)
    console.log(output)
    if (ran.timedOut) console.log(`${name} was stopped after ${FILE_TIMEOUT_MS / 60_000} minutes`)
    else if (crashed) console.log(`${name} ended with ${ran.exitCode ?? ran.signal}`)
  }
}

if (failures.length > 0) console.log(`failed files: ${failures.join(', ')}`)
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
process.exitCode = totals.failed > 0 || totals.passed === 0 ? 1 : 0

function count(text: string, pattern: RegExp): number {
  return text.match(pattern)?.length ?? 0
}
