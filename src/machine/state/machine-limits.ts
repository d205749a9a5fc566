import { ContainerError } from '../../core/errors.ts'
import { parseSize } from './byte-size.ts'

/** Environment variables of what a new machine gets where nothing else is said. */
const VARIABLES = {
  memoryBytes: 'DAT_CONTAINER_MACHINE_MEMORY',
  cpus: 'DAT_CONTAINER_MACHINE_CPUS',
  diskBytes: 'DAT_CONTAINER_MACHINE_DISK'
} as const

/** Defaults of a new machine. */
export type MachineLimits = { readonly [K in keyof typeof VARIABLES]?: number | undefined }

/** Says that machines have no data disk. */
const NO_DISK = 'none'

/** Reads the default limits of new machines from the environment. @throws ContainerError `USAGE` */
export function limitsOf(environment: NodeJS.ProcessEnv): MachineLimits {
  const { [VARIABLES.memoryBytes]: memory, [VARIABLES.diskBytes]: disk } = environment
  return {
    memoryBytes: memory ? parseSize(memory) : undefined,
    cpus: processors(environment[VARIABLES.cpus]),
    diskBytes: disk === NO_DISK ? 0 : disk ? parseSize(disk) : undefined
  }
}

function processors(text: string | undefined): number | undefined {
  if (!text) return undefined
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text)
  throw new ContainerError('USAGE', `not a number of processors: ${JSON.stringify(text)}`, {
    hint: 'give a number from 1 on'
  })
}
