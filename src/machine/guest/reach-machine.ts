import { readConsole } from '../state/console-log.ts'
import { machineHome, machinePaths } from '../state/machine-paths.ts'
import { readLiveState, requireConfig, requireRunning } from '../state/machine-record.ts'
import { quoteCommand, runSsh, sshTarget, type SshPlan } from './ssh-command.ts'

/**
 * Runs a command, or a login shell, in a machine as root, with this process's streams.
 *
 * @param request.command for the guest's shell; `argv` is one whose words are taken literally
 * @returns its exit status; 255 when there was no connection
 * @throws ContainerError `NOT_FOUND`, `NOT_RUNNING`, `MISSING_TOOL`
 */
export async function runInMachine(request: {
  home: string
  name: string
  command?: string
  argv?: readonly string[]
  tty?: SshPlan['tty']
  noInput?: boolean
}): Promise<number> {
  const home = machineHome(request.home)
  const paths = machinePaths(home, request.name)
  const { sshPort } = await requireRunning(paths)
  const command = request.argv === undefined ? request.command : quoteCommand(request.argv)
  return runSsh({
    ...sshTarget(home, paths, sshPort),
    tty: request.tty ?? 'auto',
    noInput: request.noInput ?? false,
    ...(command === undefined ? {} : { command })
  })
}

/**
 * Reads what the guest wrote to its serial port since its last start.
 *
 * @param request.follow continue until the machine ends
 * @param request.tail start with this many last lines
 * @throws ContainerError `NOT_FOUND`
 */
export async function* readMachineLog(request: {
  home: string
  name: string
  follow?: boolean
  tail?: number | undefined
  signal?: AbortSignal
}): AsyncGenerator<Buffer> {
  const paths = machinePaths(machineHome(request.home), request.name)
  await requireConfig(paths)
  yield* readConsole(paths.consoleLog, {
    ...(request.tail === undefined ? {} : { tail: request.tail }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
    ...(request.follow === true
      ? { lives: async () => (await readLiveState(paths)) !== undefined }
      : {})
  })
}

/**
 * Takes name and command out of `[NAME] [--] [COMMAND…]`: without the `--`, the first word is the
 * name, as with ssh.
 *
 * @param words all of them, the `--` not among them
 * @param afterDashes how many of them come after the `--`; undefined when there is none
 */
export function splitNameAndCommand(
  words: readonly string[],
  afterDashes: number | undefined,
  defaultName: string
): { name: string; command: string[] } {
  const hasName = words.length > (afterDashes ?? 0)
  const [name = defaultName] = hasName ? words : []
  return { name, command: words.slice(hasName ? 1 : 0) }
}
