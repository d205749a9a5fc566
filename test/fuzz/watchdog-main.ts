/** Thread that ends its process when a case of fuzzing hangs: its beats stand still. */
import { writeSync } from 'node:fs'
import { workerData } from 'node:worker_threads'

const { beats, maxMs, seed } = workerData as { beats: Int32Array; maxMs: number; seed: number }
let last = -1
let since = Date.now()

setInterval(() => {
  const beat = Atomics.load(beats, 0)
  if (beat !== last) {
    last = beat
    since = Date.now()
  } else if (Date.now() - since > maxMs) {
    writeSync(2, `seed ${seed}: case ${beat} hangs\n`)
    process.kill(process.pid, 'SIGKILL')
  }
}, 500)
