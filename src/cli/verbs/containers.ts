import type { Command } from 'commander'
import { durationMs } from '../arguments.ts'
import { readGlobals, type Globals } from '../globals.ts'
import { listEverywhere } from '../list-containers.ts'

export function addContainers(program: Command): void {
  program
    .command('ps')
    .description('list running containers')
    .option('-a, --all', 'the stopped ones too')
    .addHelpText('after', '\nExample:\n  dat-container ps --all')
    .action(async (flags: { all?: boolean }, command: Command) => {
      const where = { all: flags.all ?? false, here: true, machines: false }
      await listEverywhere(where, readGlobals(command))
    })
  program
    .command('inspect')
    .description('tell everything about a container')
    .argument('<name>', 'the container')
    .addHelpText('after', '\nExample:\n  dat-container inspect web')
    .action(async (name: string, _flags: object, command: Command) => {
      await inspect(name, readGlobals(command))
    })
  program
    .command('stop')
    .description('stop containers in order, then by force')
    .argument('<name...>', 'the containers')
    .option('-t, --time <duration>', 'how long an orderly end may take', durationMs, 30_000)
    .addHelpText('after', '\nExample:\n  dat-container stop -t 5 web')
    .action(async (names: string[], flags: { time: number }, command: Command) => {
      await stop(names, flags.time, readGlobals(command))
    })
  program
    .command('kill')
    .description('end containers at once')
    .argument('<name...>', 'the containers')
    .addHelpText('after', '\nExample:\n  dat-container kill web')
    .action(async (names: string[], _flags: object, command: Command) => {
      await stop(names, 0, readGlobals(command))
    })
  program
    .command('rm')
    .description('remove containers and what they have written')
    .argument('<name...>', 'the containers')
    .option('-f, --force', 'stop them first')
    .addHelpText('after', '\nExample:\n  dat-container rm web')
    .action(async (names: string[], flags: { force?: boolean }, command: Command) => {
      await remove(names, flags.force ?? false, readGlobals(command))
    })
}

/** Always JSON: what it tells is for programs, or for a person with a question. */
async function inspect(name: string, { home, output }: Globals): Promise<void> {
  const { inspectContainer } = await import('../../boot/containers.ts')
  const details = await inspectContainer(home, name)
  output.result(details, () => JSON.stringify(details, null, 2).split('\n'))
}

async function stop(
  names: readonly string[],
  timeoutMs: number,
  { home, output }: Globals
): Promise<void> {
  const { stopContainer } = await import('../../boot/containers.ts')
  const stopped: { name: string; orderly: boolean }[] = []
  for (const name of names) {
    stopped.push({ name, ...(await stopContainer({ home, name, timeoutMs })) })
  }
  output.result(stopped, () =>
    stopped.map(({ name, orderly }) => (orderly ? name : `${name} (killed)`))
  )
}

async function remove(
  names: readonly string[],
  force: boolean,
  { home, output }: Globals
): Promise<void> {
  const { removeContainer } = await import('../../boot/containers.ts')
  for (const name of names) await removeContainer({ home, name, force })
  output.result({ removed: names }, () => names)
}
