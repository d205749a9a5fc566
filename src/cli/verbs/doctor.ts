import type { Command } from 'commander'
import { readGlobals } from '../parse/globals.ts'

const MARKS = { yes: 'ok      ', partly: 'partly  ', no: 'missing ' } as const

export function addDoctor(program: Command): void {
  program
    .command('doctor')
    .description('check what this machine has and lacks, and how to fix it')
    .addHelpText('after', '\nExample:\n  dat-container doctor')
    .action(async (_flags: object, command: Command) => {
      const { examine } = await import('../../doctor/doctor.ts')
      const { home, output } = readGlobals(command)
      const checks = await examine({ home })
      output.result(checks, () =>
        checks.flatMap(({ name, ok, detail, remedy }) => [
          `${MARKS[ok]}${name}: ${detail}`,
          ...(remedy === '' ? [] : [`          to fix it: ${remedy}`])
        ])
      )
      if (checks.some(({ ok }) => ok === 'no')) process.exitCode = 1
    })
}
