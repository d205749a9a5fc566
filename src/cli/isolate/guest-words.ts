import type { Command } from 'commander'

/** Options of `boot` that are for this machine. */
const HERE = new Set([
  ...['vm', 'machine', 'publish', 'volume', 'isolate', 'linkFile'],
  ...['machineMemory', 'machineCpus', 'machineDisk']
])
/** Given to the guest's command too. */
const PASSED_GLOBALS = ['json'] as const

/**
 * The verb and the options that were given, as the guest's command reads them. Options that are for this machine, and
 * what its configuration says, are left out; arguments are not among them.
 *
 * @param command parsed
 */
export function guestWords(command: Command): string[] {
  const words = [command.name()]
  for (const option of command.options) {
    const name = option.attributeName()
    const source = command.getOptionValueSource(name)
    // What this machine's configuration says is not known in the guest.
    if (HERE.has(name) || (source !== 'cli' && source !== 'env')) continue
    if (option.hidden && !(PASSED_GLOBALS as readonly string[]).includes(name)) continue
    const value: unknown = command.getOptionValue(name)
    if (option.isBoolean()) {
      if ((value === false) === option.negate) words.push(option.long ?? '')
      continue
    }
    for (const each of Array.isArray(value) ? (value as unknown[]) : [value]) {
      // Durations have been read: they are milliseconds.
      const isDuration = typeof each === 'number' && option.flags.includes('<duration>')
      words.push(`${option.long}=${isDuration ? `${each}ms` : String(each)}`)
    }
  }
  if (command.optsWithGlobals<{ json?: boolean }>().json && !words.includes('--json'))
    words.push('--json')
  return words
}
