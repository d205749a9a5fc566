import type { Command } from 'commander'
import { collect, durationOption } from '../../parse/arguments.ts'
import { eachOf } from '../../print/each-of.ts'
import { readGlobals, type Globals } from '../../parse/globals.ts'
import { listEverywhere, type ListFlags } from '../../isolate/list-containers.ts'

export function addContainers(program: Command): void {
  program
    .command('ps')
    .description('list running containers')
    .option('-a, --all', 'also list stopped containers')
    .option('-q, --quiet', 'print only names')
    .option(
      '-f, --filter <field=text>',
      'list only containers whose name, image, state or command contains the text (repeatable)',
      collect
    )
    .option(
      '--format <template>',
      'print one line per container, with {{field}} replaced by that field of --json'
    )
    .addHelpText(
      'after',
      '\nExamples:\n  dat-container ps --all\n  dat-container rm $(dat-container ps -aq --filter state=stopped)\n' +
        "  dat-container ps --format '{{name}}\\t{{image}}@{{version}}'"
    )
    .action(async (flags: ListFlags, command: Command) => {
      await listEverywhere(flags, { here: true, machines: false }, readGlobals(command))
    })
  program
    .command('inspect')
    .description('show all details of containers')
    .argument('<name...>', 'the containers; several make a JSON list')
    .addHelpText('after', '\nExample:\n  dat-container inspect web')
    .action(async (names: string[], _flags: object, command: Command) => {
      await inspect(names, readGlobals(command))
    })
  program
    .command('stop')
    .description('stop containers cleanly, or by force after a timeout')
    .argument('<name...>', 'the containers')
    .addOption(
      durationOption('-t, --time <duration>', 'how long a clean shutdown may take', 30_000)
    )
    .addHelpText('after', '\nExample:\n  dat-container stop -t 5 web')
    .action(async (names: string[], flags: { time: number }, command: Command) => {
      await stop(names, flags.time, readGlobals(command))
    })
  program
    .command('kill')
    .description('kill containers at once')
    .argument('<name...>', 'the containers')
    .addHelpText('after', '\nExample:\n  dat-container kill web')
    .action(async (names: string[], _flags: object, command: Command) => {
      await stop(names, undefined, readGlobals(command))
    })
  program
    .command('rm')
    .description('remove containers and everything they wrote')
    .argument('<name...>', 'the containers')
    .option('-f, --force', 'stop them first')
    .addHelpText('after', '\nExample:\n  dat-container rm web')
    .action(async (names: string[], flags: { force?: boolean }, command: Command) => {
      await remove(names, flags.force ?? false, readGlobals(command))
    })
}

/** Always JSON: what it tells is for programs, or for a person with a question. */
async function inspect(names: readonly string[], { home, output }: Globals): Promise<void> {
  const { inspectContainer } = await import('../../../boot/containers/containers.ts')
  const found = await eachOf(names, output, (name) => inspectContainer(home, name))
  const details = names.length === 1 ? found[0] : found
  output.result(details, () => JSON.stringify(details, null, 2).split('\n'))
}

/** @param timeoutMs undefined to kill: then one that does not run is an error */
async function stop(
  names: readonly string[],
  timeoutMs: number | undefined,
  { home, output }: Globals
): Promise<void> {
  const { killContainerNamed, stopContainer } =
    await import('../../../boot/containers/containers.ts')
  const stopped = await eachOf(names, output, async (name) => {
    const ended = await (timeoutMs === undefined
      ? killContainerNamed({ home, name })
      : stopContainer({ home, name, timeoutMs }))
    return { name, ...ended }
  })
  output.result(stopped, () =>
    stopped.map(({ name, orderly }) => (orderly ? name : `${name} (killed)`))
  )
}

async function remove(
  names: readonly string[],
  force: boolean,
  { home, output }: Globals
): Promise<void> {
  const { removeContainer } = await import('../../../boot/containers/containers.ts')
  const removed = await eachOf(names, output, async (name) => {
    await removeContainer({ home, name, force })
    return name
  })
  output.result({ removed }, () => removed)
}
