import type { Command } from 'commander'
import { parseBootstrap, BOOTSTRAP_VARIABLE } from '../../rpc/bootstrap.ts'
import { ContainerError } from '../../core/errors.ts'
import { parseSize } from '../../machine/state/byte-size.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { interruptible } from '../print/interrupt.ts'

const CLIENTS_AN_ADDRESS = 16

interface RelayFlags {
  readonly port: string
  readonly clients: string
  readonly rate: string
  readonly quota: string
}

export function addRelay(program: Command): void {
  program
    .command('relay')
    .description('pass packets on between peers that cannot reach each other')
    .option('--port <port>', 'UDP port; 0 for any free port', '0')
    .option('--clients <number>', 'serve so many peers at once, two for each connection', '128')
    .option('--rate <size>', 'end a connection whose ends send more per second for a minute', '4M')
    .option('--quota <size>', 'end a connection over which one end has sent so much', '16G')
    .addHelpText(
      'after',
      '\nThe relay sees who talks to whom and how much, and nothing of the content. This machine must be reachable from outside.' +
        ' It serves everybody who knows its key, which stays the same.' +
        '\n\nExample:\n  dat-container relay --port 49738\n' +
        "  echo 'relay = KEY' >> /etc/dat-container.conf    # on the machines that use it"
    )
    .action(async (flags: RelayFlags, command: Command) => relay(flags, readGlobals(command)))
}

async function relay(flags: RelayFlags, { home, output }: Globals): Promise<void> {
  const { openHome } = await import('../../home/home.ts')
  const { formatKey } = await import('../../p2p/link.ts')
  const { keyPairOf, readOrMakeIdentity } = await import('../../p2p/peers/identity.ts')
  const { RelayServer } = await import('../../p2p/peers/relay-server.ts')
  const { takeLock } = await import('../../core/host/kernel-lock.ts')
  const { relayIdentity } = openHome(home)
  const options = {
    bootstrap: parseBootstrap(process.env[BOOTSTRAP_VARIABLE]),
    port: number(flags.port, '--port', 0, 65_535),
    limits: {
      clients: number(flags.clients, '--clients', 2, 65_536),
      clientsAnAddress: CLIENTS_AN_ADDRESS,
      bytesASecond: parseSize(flags.rate),
      bytesAPair: parseSize(flags.quota)
    }
  }
  await interruptible(async (signal) => {
    await using lock = await takeLock(`${relayIdentity}.lock`)
    if (!lock) {
      throw new ContainerError('BUSY', 'a relay of this home runs already', {
        hint: 'end it first, or use another --home'
      })
    }
    const keyPair = keyPairOf(await readOrMakeIdentity(relayIdentity))
    await using server = await RelayServer.open({ keyPair, ...options })
    const publicKey = formatKey(keyPair.publicKey)
    output.result({ publicKey, port: server.port }, () => [
      `relay ${publicKey} on UDP port ${server.port}; peers use it with relay = ${publicKey}`
    ])
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    const { bytes: passed } = server.traffic
    output.note(`the relay has passed on ${passed} bytes`)
  })
}

function number(text: string, option: string, least: number, most: number): number {
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= least && value <= most) return value
  throw new ContainerError(
    'USAGE',
    `${option} is a whole number from ${least} to ${most}, not ${JSON.stringify(text)}`
  )
}
