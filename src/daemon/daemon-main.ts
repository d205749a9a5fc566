/**
 * Entry of a daemon that was started on demand, without a terminal. Descriptor 3 tells the starter
 * how it went: `ready`, or the error as JSON. The log goes to standard error.
 */
import { closeSync, writeSync } from 'node:fs'
import pino from 'pino'
import { toRecord } from '../core/error-record.ts'
import { daemonLog } from './daemon-log.ts'
import { defaultHome } from '../home/home.ts'
import { daemonSettingsOf } from '../rpc/daemon-settings.ts'
import { runDaemon } from './run-daemon.ts'

const STARTER = 3
// A line is in the log before its client has an answer, and before a daemon that crashes is gone.
const log = daemonLog(pino.destination({ dest: 2, sync: true }))

function tellStarter(message: string): void {
  try {
    writeSync(STARTER, message)
    closeSync(STARTER)
  } catch {
    // The starter is gone or there is none: the log has it all.
  }
}

function onEarlyError(err: unknown): void {
  log.fatal({ err }, 'uncaught exception')
  process.exit(1)
}
// Until it serves: then an error of one client is not the end of all others.
process.on('uncaughtException', onEarlyError)

void run()

async function run(): Promise<void> {
  try {
    await runDaemon({
      home: defaultHome(),
      settings: daemonSettingsOf(process.env),
      log,
      onReady: () => {
        process.off('uncaughtException', onEarlyError)
        tellStarter('ready')
      }
    })
    process.exit(0)
  } catch (error) {
    log.error({ err: error }, 'daemon failed')
    tellStarter(JSON.stringify(toRecord(error)))
    process.exit(1)
  }
}
