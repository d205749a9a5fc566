import { endSpares, startSpare } from '../boot/spare-process.ts'
import { applyConfig } from './config-file.ts'
import { foreseePrograms } from './foresee.ts'
import { takeLinkVariable } from './link-variable.ts'

takeLinkVariable()
const config = applyConfig(process.env)

// Only root runs containers here, on Linux. They load while all the rest of this command does.
const runsHere = process.platform === 'linux' && process.getuid?.() === 0
const vm = process.env['DAT_CONTAINER_VM']
const foreseen = runsHere ? foreseePrograms(process.argv.slice(2), vm) : []
for (const program of foreseen) startSpare(program)
void import('./program.ts').then(async ({ runProgram }) => runProgram(config)).finally(endSpares)
