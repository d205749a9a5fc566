import { ContainerError } from '../../core/errors.ts'
import { captureSsh, type SshTarget } from './ssh-command.ts'

const TIMEOUT_MS = 30_000
/** Prints the path of a file that only root of the guest can read, and that has what came on standard input. */
const KEEP = 'umask 077 && file=$(mktemp /run/dat-link-XXXXXX) && cat > "$file" && echo "$file"'
const PATH = /^\/run\/dat-link-[A-Za-z0-9]+$/

/**
 * Hands a link to a guest by standard input: in the arguments of ssh, other users of this machine could read it.
 *
 * @returns a word for the guest's shell that becomes the link, once
 * @throws ContainerError `IO` when the guest does not take it, `MISSING_TOOL`, `CANCELLED`
 */
export async function giveLink(
  target: SshTarget,
  link: string,
  signal: AbortSignal | undefined
): Promise<string> {
  const { stdout, stderr } = await captureSsh(target, KEEP, {
    timeoutMs: TIMEOUT_MS,
    input: link,
    signal
  })
  const file = stdout.trim()
  if (!PATH.test(file)) {
    throw new ContainerError('IO', `machine ${target.name} did not take the link: ${stderr.trim()}`)
  }
  return `"$(cat ${file}; rm ${file})"`
}
