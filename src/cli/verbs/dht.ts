import type { Command } from 'commander'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { interruptible } from '../print/interrupt.ts'

/** hyperdht's usual port. */
const DEFAULT_PORT = 49_737

export function addDht(program: Command): void {
  program
    .command('dht')
    .description('run the bootstrap node of a private DHT')
    .option('--host <address>', 'an address of this machine that every peer can reach', '127.0.0.1')
    .option(
      '--port <port>',
      'UDP port; 0 for any free port',
      (text) => Number.parseInt(text, 10),
      DEFAULT_PORT
    )
    .addHelpText(
      'after',
      '\nExample:\n  dat-container dht --host 10.0.0.1\n' +
        '  dat-container share ./rootfs --bootstrap 10.0.0.1:49737'
    )
    .action(async (flags: { host: string; port: number }, command: Command) => {
      await dht(flags, readGlobals(command))
    })
}

async function dht(flags: { host: string; port: number }, { output }: Globals): Promise<void> {
  const { startDhtNode } = await import('../../p2p/peers/dht-node.ts')
  await interruptible(async (signal) => {
    await using node = await startDhtNode(flags.host, flags.port)
    const { host, port } = node
    output.result({ host, port, bootstrap: `${host}:${port}` }, () => [
      `DHT node on ${host}:${port}; peers join it with --bootstrap ${host}:${port}`
    ])
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  })
}
