import { spawn } from 'node:child_process'
import { once } from 'node:events'
import test from 'brittle'
import {
  identify,
  isAlive,
  readProcess,
  waitForExit
} from '../../../src/core/host/process-table.ts'

/** exit(2), which ends one thread, not exit_group(2), by machine. */
const SYS_EXIT: Readonly<Record<string, number>> = { x64: 60, arm64: 93 }

/** Ends its first thread; the threads of V8 and libuv go on, with the files that are open. */
const FIRST_THREAD_ENDS = `
  import koffi from 'koffi'
  const exitThread = koffi.load('libc.so.6').func('long syscall(long, long)')
  setTimeout(() => exitThread(${SYS_EXIT[process.arch]}, 0), 50)
`

void test('a process whose first thread has ended is there as long as another one runs', async (t) => {
  const child = spawn(process.execPath, ['--input-type=module', '-e', FIRST_THREAD_ENDS], {
    stdio: 'ignore'
  })
  const exited = once(child, 'exit')
  try {
    const identity = identify(child.pid ?? 0)
    while (readProcess(child.pid ?? 0)?.state !== 'Z') {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    t.ok(isAlive(identity), 'its files are still open')
    child.kill('SIGKILL')
    t.ok(await waitForExit(identity, 10_000), 'and it is gone with its last thread')
  } finally {
    child.kill('SIGKILL')
    await exited
  }
})
