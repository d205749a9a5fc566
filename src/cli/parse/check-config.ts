import { parseBootstrap } from '../../rpc/bootstrap.ts'
import { parseMaxDisk, parseRate } from '../../rpc/daemon-limits.ts'
import { parseListening, parseNat, parseRelays, parseSwitch } from '../../rpc/listening.ts'
import { parseMetricsAddress } from '../../rpc/metrics-address.ts'
import { parseUiAddress } from '../../rpc/ui-address.ts'
import { parseAllow } from '../../rpc/allowed-peers.ts'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import { limitsOf } from '../../machine/state/machine-limits.ts'
import { parsePeerTimeout } from './peer-timeout.ts'
import { CONFIG_KEYS, type Config, type ConfigKey } from './config-file.ts'

const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']
const VM_WORDS = ['auto', 'always', 'never']

const CHECKS: Readonly<Record<ConfigKey, (value: string) => unknown>> = {
  home: () => {},
  socket: () => {},
  bootstrap: parseBootstrap,
  listen: (value) => parseListening(value, undefined),
  advertise: (value) => parseListening(undefined, value),
  lan: (value) => parseSwitch('lan', value),
  nat: parseNat,
  relay: parseRelays,
  allow: parseAllow,
  'peer-exchange': (value) => parseListening(undefined, undefined, value),
  'peer-timeout': parsePeerTimeout,
  'max-disk': parseMaxDisk,
  'max-up': parseRate,
  'max-down': parseRate,
  metrics: parseMetricsAddress,
  ui: parseUiAddress,
  'log-level': oneOf(LOG_LEVELS),
  vm: oneOf(VM_WORDS),
  'machine-memory': limit('machine-memory'),
  'machine-cpus': limit('machine-cpus'),
  'machine-disk': limit('machine-disk')
}

/**
 * Checks what configuration files say, before a verb is carried out: `--help` works in spite of them.
 *
 * @throws ContainerError `USAGE`, which names file and line; `IO` for a file that cannot be read or trusted
 */
export function checkConfig({ settings, error }: Config): void {
  if (error !== undefined) throw error
  for (const { key, value, place } of settings) {
    try {
      CHECKS[key](value)
    } catch (cause) {
      if (!isContainerError(cause)) throw cause
      throw new ContainerError('USAGE', `${place} sets ${key}: ${cause.message}`, {
        hint: cause.hint,
        cause
      })
    }
  }
}

function oneOf(words: readonly string[]): (value: string) => void {
  return (value) => {
    if (words.includes(value)) return
    const hint = `write one of ${words.join(', ')}`
    throw new ContainerError('USAGE', `unknown value: ${JSON.stringify(value)}`, { hint })
  }
}

function limit(key: ConfigKey): (value: string) => void {
  return (value) => void limitsOf({ [CONFIG_KEYS[key]]: value })
}
