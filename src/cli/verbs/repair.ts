import type { Command } from 'commander'
import type { SalvagedImage, StoreRepair } from '../../daemon/repair-store.ts'
import { refuseGroupSocket } from '../../rpc/group-socket.ts'
import type { openHome } from '../../home/home.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { printable } from '../print/output.ts'
import { table } from '../print/table.ts'

const STOP_TIMEOUT_MS = 30_000

export function addRepair(program: Command): void {
  program
    .command('repair')
    .description('rebuild a damaged store from what is readable and what peers have')
    .option('--dry-run', 'only show what is damaged')
    .addHelpText(
      'after',
      `
The damaged store is renamed and never deleted. A running daemon is stopped during the repair. Single damaged blocks need no
repair: they are fetched again when they are read, and by verify.

Examples:
  dat-container repair --dry-run
  dat-container repair`
    )
    .action(async (flags: { dryRun?: boolean }, command: Command) => {
      await repair(flags.dryRun ?? false, readGlobals(command))
    })
}

async function repair(dryRun: boolean, globals: Globals): Promise<void> {
  const home = await import('../../home/home.ts')
  const { repairStore } = await import('../../daemon/repair-store.ts')
  const { DaemonClient } = await import('../../session/connection/client.ts')
  const paths = home.openHome(globals.home)
  refuseGroupSocket(paths.groupSocket, 'repair')
  if (dryRun) {
    report(await repairStore(paths, { dryRun }), dryRun, globals)
    return
  }
  const { wasRunning, lock } = await takeOver(paths)
  let repaired: StoreRepair
  try {
    repaired = await repairStore(paths, { dryRun })
  } finally {
    await lock[Symbol.asyncDispose]()
  }
  // Mounts and containers wait for it.
  if (wasRunning) (await DaemonClient.connect(paths))[Symbol.dispose]()
  report(repaired, dryRun, globals)
}

/** Stops the daemon, if one runs, and takes its lock. */
async function takeOver(paths: ReturnType<typeof openHome>) {
  const { DaemonClient } = await import('../../session/connection/client.ts')
  const { METHODS } = await import('../../rpc/protocol.ts')
  const { lockHolder, takeLock } = await import('../../core/host/kernel-lock.ts')
  const { ContainerError } = await import('../../core/errors.ts')
  using client = await DaemonClient.connectRunning(paths)
  if (client) await client.request(METHODS.shutdown, null)
  const lock = await takeLock(paths.daemonLock, {
    waitMs: STOP_TIMEOUT_MS,
    keepFile: true,
    tellHolder: true
  })
  if (lock) return { wasRunning: client !== undefined, lock }
  throw new ContainerError('BUSY', 'the daemon did not stop in time', {
    hint: `end process ${await lockHolder(paths.daemonLock)} by hand`
  })
}

function report(repaired: StoreRepair, dryRun: boolean, { output }: Globals): void {
  const { damaged, openError, setAside, ownsKeys, images } = repaired
  output.result({ dryRun, ...repaired }, () => [
    ...(openError === null ? [] : [`the store does not open: ${openError}`]),
    ...(damaged ? [] : ['nothing in the store is damaged']),
    ...(damaged && images.length > 0
      ? table([
          ['NAME', 'ROLE', 'HELD', 'WHOLE', 'THE REST'],
          ...images.map((image) => [
            printable(image.name),
            image.role,
            image.held === null ? '?' : String(image.held),
            String(image.whole),
            restOf(image)
          ])
        ])
      : []),
    ...(ownsKeys || !images.some(({ role }) => role === 'owner')
      ? []
      : ['the keys of your own images are lost: nobody can publish new versions of them']),
    ...(setAside === null
      ? damaged
        ? ['to rebuild it: dat-container repair; the damaged one is kept']
        : []
      : [`the damaged store is kept as ${setAside}: delete it when everything works again`])
  ])
}

function restOf({ role, held, whole }: SalvagedImage): string {
  if (held === whole) return '-'
  if (role === 'owner') return 'is lost unless peers have it; they are being asked'
  return role === 'mirror' ? 'comes from peers' : 'will come from peers when it is read, or by pull'
}
