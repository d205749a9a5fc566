import { endPrestarted, prestart } from '../core/host/prestart.ts'
import { applyConfig } from './parse/config-file.ts'
import { planPrestart } from './parse/prestart-plan.ts'
import { takeLinkVariable } from './parse/link-variable.ts'

takeLinkVariable()
const config = applyConfig(process.env)

// Only root runs containers here, on Linux. They load while all the rest of this command does.
const runsHere = process.platform === 'linux' && process.getuid?.() === 0
const vm = process.env['DAT_CONTAINER_VM']
const foreseen = runsHere ? planPrestart(process.argv.slice(2), vm) : []
for (const program of foreseen) prestart(program)
let isDone = false
process.once('beforeExit', () => {
  if (isDone) return
  // What is waited for can never come: Node.js would end as if all had been done.
  process.stderr.write('dat-container: it ended before it was done; please report this bug\n')
  process.exitCode = 1
})
void import('./program.ts')
  .then(async ({ runProgram }) => runProgram(config))
  .finally(() => {
    isDone = true
    endPrestarted()
  })
