import { endSpares, startSpare } from '../boot/spare-process.ts'
import { foreseePrograms } from './foresee.ts'
import { takeLinkVariable } from './link-variable.ts'

takeLinkVariable()

// Only root runs containers here. They load while all the rest of this command does.
const vm = process.env['DAT_CONTAINER_VM']
const foreseen = process.getuid?.() === 0 ? foreseePrograms(process.argv.slice(2), vm) : []
for (const program of foreseen) startSpare(program)
void import('./program.ts').then(async ({ runProgram }) => runProgram()).finally(endSpares)
