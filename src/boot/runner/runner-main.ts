/**
 * A detached runner: `node runner-main.js`, with a `DetachedRequest`, a `DetachedMounter` if that says so, and a
 * `DetachedKeep` as lines of JSON on its standard input. Tells of states, of readiness and of errors on descriptor 3,
 * one line each; then lives as long as its container.
 */
import { createWriteStream } from 'node:fs'
import type {
  DetachedEvent,
  DetachedKeep,
  DetachedMounter,
  DetachedRequest
} from './detached-protocol.ts'
import { toRecord } from '../../core/error-record.ts'
import { readJsonLines, writeJsonLine } from '../../core/json-lines.ts'
import { ImageReference } from '../../p2p/link.ts'
import type { MounterGreeting } from '../lease/mounter-protocol.ts'
import { RelayedMounter } from '../lease/relayed-mounter.ts'

const STATUS_DESCRIPTOR = 3

const status = createWriteStream('', { fd: STATUS_DESCRIPTOR })
// The caller closes its end as soon as it knows enough.
status.on('error', () => {})
function tell(event: DetachedEvent): void {
  writeJsonLine(status, event)
}

// Loaded while the request comes.
const loading = import('./followed-run.ts')
const lines = readJsonLines(process.stdin)
const abandoned = new AbortController()
void run()

async function run(): Promise<void> {
  const first = await lines.next()
  // Started ahead, and not needed.
  if (first.done === true) process.exit()
  const { container, hasMounter } = first.value as DetachedRequest
  const greeting = new Promise<MounterGreeting | undefined>((resolve) => void listen(resolve))
  try {
    const { runFollowed } = await loading
    const { exitCode } = await runFollowed({
      container: { ...container, link: ImageReference.parse(container.link) },
      ...(hasMounter ? { mounter: new RelayedMounter(greeting) } : {}),
      console: 'log',
      signal: abandoned.signal,
      events: {
        onNews: (news) => tell({ event: 'news', news }),
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
}

/** Hears the starter out. One that goes, or says what nobody understands, before `keep` has abandoned us. */
async function listen(onMounter: (greeting: MounterGreeting | undefined) => void): Promise<void> {
  try {
    for await (const line of lines) {
      const message = line as DetachedMounter | DetachedKeep
      if ('keep' in message) return
      onMounter(message.mounter)
    }
  } catch {}
  abandoned.abort()
  onMounter(undefined)
}
