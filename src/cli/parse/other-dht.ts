import type { Command } from 'commander'
import { formatBootstrap, parseBootstrap } from '../../rpc/bootstrap.ts'
import { readGlobals } from './globals.ts'

/** Verbs that say themselves what they do with `--bootstrap`, or ask no daemon. */
const APART = new Set([
  'daemon',
  'dht',
  'completion',
  'doctor',
  'identity',
  'relay',
  'attest-record'
])

/** Says so where `--bootstrap` names another DHT than the one that the daemon is in, which runs already. */
export function hookBootstrap(program: Command): void {
  program.hook('preAction', async (_program, command) => {
    const { bootstrap } = command.optsWithGlobals<{ bootstrap?: string }>()
    if (bootstrap === undefined || APART.has(topVerb(command).name())) return
    const { DaemonClient } = await import('../../session/connection/client.ts')
    const { openHome } = await import('../../home/home.ts')
    const { METHODS } = await import('../../rpc/protocol.ts')
    const { home, output } = readGlobals(command)
    using client = await DaemonClient.connectRunning(openHome(home))
    const running = await client?.request(METHODS.status, null)
    if (running === undefined) return
    const asked = parseBootstrap(bootstrap)?.join()
    if (asked === running.bootstrap?.join()) return
    const where =
      running.bootstrap === null
        ? 'the public DHT'
        : `the DHT of ${formatBootstrap(running.bootstrap)}`
    output.note(
      `--bootstrap is ignored: the daemon is already running in ${where} (to stop it: dat-container daemon stop)`
    )
  })
}

function topVerb(command: Command): Command {
  let verb = command
  while (verb.parent?.parent) verb = verb.parent
  return verb
}
