/**
 * A detached runner: `node runner-main.js`, with a `DetachedRequest` and then a `DetachedKeep` as
 * lines of JSON on its standard input. Tells of states, of readiness and of errors on descriptor 3, one line each; then
 * lives as long as its container.
 */
import { createWriteStream } from 'node:fs'
import type { DetachedEvent, DetachedRequest } from './detached-protocol.ts'
import { toRecord } from './error-record.ts'
import { readJsonLines, writeJsonLine } from './json-lines.ts'
import { startMounterAhead } from './mount-ahead.ts'

const STATUS_DESCRIPTOR = 3

const status = createWriteStream('', { fd: STATUS_DESCRIPTOR })
// The caller closes its end as soon as it knows enough.
status.on('error', () => {})
function tell(event: DetachedEvent): void {
  writeJsonLine(status, event)
}

const lines = readJsonLines(process.stdin)
const first = await lines.next()
const { container } = first.value as DetachedRequest
const abandoned = new AbortController()
void lines.next().then(
  ({ done }) => done === true && abandoned.abort(),
  () => abandoned.abort()
)

try {
  const mounter = startMounterAhead(container)
  // Loaded while the mounter loads.
  const { runContainer } = await import('./runner.ts')
  const { exitCode } = await runContainer({
    container,
    ...(mounter === undefined ? {} : { mounter }),
    console: 'log',
    signal: abandoned.signal,
    events: {
      onState: (state) => tell({ event: 'state', state }),
      onReady: (state) => tell({ event: 'ready', state })
    }
  })
  tell({ event: 'exit', exitCode })
} catch (error) {
  tell({ event: 'error', error: toRecord(error) })
  process.exitCode = 1
}
status.end(() => process.exit())
