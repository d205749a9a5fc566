import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { execa } from 'execa'

const MODULE = fileURLToPath(new URL('../../src/daemon/uncaught-errors.js', import.meta.url))

/** Throws errors where nobody catches them, then ends in order, if it comes to that. */
const PROGRAM = `
const [module, code, times] = process.argv.slice(1)
const { watchUncaughtErrors } = await import(module)
const log = { error: () => console.log('serving on'), fatal: () => console.log('ending') }
if (code !== 'unwatched') watchUncaughtErrors(log, () => process.exit(1))
const error = Object.assign(new TypeError('undefined is no function'), code === '' ? {} : { code })
for (let n = 0; n < Number(times); n++) queueMicrotask(() => { throw error })
void Promise.reject(error)
setTimeout(() => process.exit(0), 200)
`

test('an error that nobody caught ends a daemon only where its store is in doubt', async (t) => {
  const cases: [string, string, number, number][] = [
    ['nothing is watched', 'unwatched', 1, 1],
    ['a mistake about what somebody sent', '', 1, 0],
    ['an assertion', 'ERR_ASSERTION', 1, 1],
    ['a damaged log', 'OPLOG_CORRUPT', 1, 1],
    ['a disk that fails', 'EIO', 1, 1],
    ['one mistake after the other', '', 50, 1]
  ]
  for (const [title, code, times, status] of cases) {
    const ran = await execa(
      process.execPath,
      ['--input-type=module', '-e', PROGRAM, MODULE, code, String(times)],
      { reject: false }
    )
    t.is(ran.exitCode, status, `${title}: ${ran.stdout.split('\n').at(-1)}`)
  }
})
