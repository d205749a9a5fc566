import type { Command } from 'commander'
import { nonce } from '../../parse/arguments.ts'
import { readGlobals } from '../../parse/globals.ts'

/** What `machine attest` runs in HyperOS; no verb for people. */
export function addAttestRecord(program: Command): void {
  program
    .command('attest-record', { hidden: true })
    .description('print what this boot of HyperOS was, signed')
    .requiredOption('--nonce <hex>', 'of whoever asks', nonce)
    .action(async (flags: { nonce: string }, command: Command) => {
      const { makeSignedRecord } = await import('../../../attest/make-attest-record.ts')
      const { home, output } = readGlobals(command)
      const signed = await makeSignedRecord(home, flags.nonce)
      output.result(signed, () => [JSON.stringify(signed)])
    })
}
