import type { Command } from 'commander'
import { nonce } from '../../parse/arguments.ts'
import { readGlobals } from '../../parse/globals.ts'

/** What `machine attest` runs in HyperOS; no verb for people. */
export function addAttestRecord(program: Command): void {
  program
    .command('attest-record', { hidden: true })
    .description('print a signed record of this boot of HyperOS')
    .requiredOption('--nonce <hex>', 'number from the requester', nonce)
    .action(async (flags: { nonce: string }, command: Command) => {
      const { makeSignedRecord } = await import('../../../attest/make-attest-record.ts')
      const { home, output } = readGlobals(command)
      const signed = await makeSignedRecord(home, flags.nonce)
      output.result(signed, () => [JSON.stringify(signed)])
    })
}
