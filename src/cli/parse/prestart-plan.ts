import type { ServiceProgram } from '../../core/host/prestart.ts'
import { verbOf } from '../../program/command-verb.ts'

/** Options of `boot` with which nothing is started here, or with an environment that is not ours yet. */
const NOT_AHEAD =
  /^(-h|--help|-p|--publish|--vm|--isolate|--machine|--home|--bootstrap|--log-level)/
const DETACHED = new Set(['-d', '--detach'])

/**
 * The programs that a command line will most likely need, before anything is parsed or loaded. A guess:
 * one too many ends unused, one too few is started later.
 *
 * @param args without the program itself
 * @param vm what the environment says of machines
 */
export function planPrestart(args: readonly string[], vm: string | undefined): ServiceProgram[] {
  const [verb, rest] = verbOf(args)
  if (verb !== 'boot' || vm === 'always') return []
  const end = rest.indexOf('--')
  const own = end === -1 ? rest : rest.slice(0, end)
  if (own.length === 0 || own.some((argument) => NOT_AHEAD.test(argument))) return []
  return own.some((argument) => DETACHED.has(argument)) ? ['mounter', 'runner'] : ['mounter']
}
