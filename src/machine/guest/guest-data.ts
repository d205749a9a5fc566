import { ContainerError } from '../../core/errors.ts'
import { captureSsh, type SshTarget } from './ssh-command.ts'

const TIMEOUT_MS = 60_000
/** Prints why HyperOS has no data disk, when it has none. */
const ASK =
  'systemctl is-active --quiet hyperos-data || ' +
  "{ journalctl -u hyperos-data -o cat | sed -n 's/^data disk: //p' | tail -n 1; exit 1; }"

/**
 * Checks that a guest has opened its encrypted data disk. A guest starts without the disk too, so that one can
 * find out why.
 *
 * @throws ContainerError `MOUNT_FAILED`
 */
export async function requireData(
  target: SshTarget,
  signal: AbortSignal | undefined
): Promise<void> {
  const { exitCode, stdout } = await captureSsh(target, ASK, { timeoutMs: TIMEOUT_MS, signal })
  if (exitCode === 0) return
  const why = stdout.trim() || 'it does not say why'
  throw new ContainerError('MOUNT_FAILED', `${target.name} cannot open its data disk: ${why}`, {
    hint: 'start it with the key that encrypted its disk: --key-file FILE'
  })
}
