import type { Command } from 'commander'
import { readGlobals, type Globals } from '../parse/globals.ts'

export function addIdentity(program: Command): void {
  program
    .command('identity')
    .description('print the public key by which peers know this home')
    .addHelpText(
      'after',
      '\nIt stays the same. A machine with a private swarm connects with this home if its list has the key:' +
        '\n\nExample:\n  dat-container identity\n  dat-container daemon start --allow KEY'
    )
    .action(async (_flags: object, command: Command) => identity(readGlobals(command)))
}

async function identity({ home, output }: Globals): Promise<void> {
  const { openHome } = await import('../../home/home.ts')
  const { formatKey } = await import('../../p2p/link.ts')
  const { keyPairOf, readIdentity, readOrMakeIdentity } =
    await import('../../p2p/peers/identity.ts')
  const paths = openHome(home)
  const publicKey = (await askDaemon()) ?? (await readHere())
  output.result({ publicKey, home: paths.home }, () => [publicKey])

  async function askDaemon(): Promise<string | undefined> {
    const { DaemonClient } = await import('../../session/connection/client.ts')
    const { METHODS } = await import('../../rpc/protocol.ts')
    // The keys of another user's daemon are not here.
    const isElsewhere = paths.groupSocket !== undefined
    using running = await (isElsewhere
      ? DaemonClient.connect(paths)
      : DaemonClient.connectRunning(paths))
    return running && (await running.request(METHODS.status, null)).publicKey
  }

  async function readHere(): Promise<string> {
    const found = await readIdentity(paths.swarmIdentity)
    if (found.isNew !== true) return formatKey(keyPairOf(found).publicKey)
    // A daemon that starts now makes one, too. It has the lock then.
    const { takeLock } = await import('../../core/host/kernel-lock.ts')
    const { DaemonClient } = await import('../../session/connection/client.ts')
    const { METHODS } = await import('../../rpc/protocol.ts')
    await using lock = await takeLock(paths.daemonLock, { keepFile: true })
    if (lock) return formatKey(keyPairOf(await readOrMakeIdentity(paths.swarmIdentity)).publicKey)
    using starting = await DaemonClient.connect(paths)
    return (await starting.request(METHODS.status, null)).publicKey
  }
}
