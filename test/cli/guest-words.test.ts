import test from 'brittle'
import { guestWords } from '../../src/cli/isolate/guest-words.ts'
import { createProgram } from '../../src/cli/program.ts'

/** What the guest's command would be given for a command line, without its arguments. */
async function wordsOf(...args: string[]): Promise<string[]> {
  const program = createProgram()
  const verb = program.commands.find((command) => args.includes(command.name()))
  let words: string[] | undefined
  verb?.action((...given: unknown[]) => {
    const command = given.at(-1) as Parameters<typeof guestWords>[0]
    words = guestWords(command)
  })
  await program.parseAsync(args, { from: 'user' })
  if (words === undefined) throw new Error(`${args.join(' ')} was not parsed`)
  return words
}

void test('options of a verb reach the guest as they were given', async (t) => {
  const table: [args: string[], words: string[]][] = [
    [['boot', 'IMAGE'], []],
    [
      ['boot', 'IMAGE', '-n', 'web', '-d'],
      ['--name=web', '--detach']
    ],
    [
      ['boot', 'IMAGE', '-e', 'A=1', '-e', 'B=x y'],
      ['--env=A=1', '--env=B=x y']
    ],
    [
      ['boot', 'IMAGE', '--wait', 'ready', '--wait-timeout', '2m'],
      ['--wait=ready', '--wait-timeout=120000ms']
    ],
    [['boot', 'IMAGE', '--peer-timeout', '1.5'], ['--peer-timeout=1500ms']],
    [['boot', 'IMAGE', '--user', ''], ['--user=']],
    [['boot', 'IMAGE', '--user', '--privileged'], ['--user=--privileged']],
    [['boot', 'IMAGE', '--ephemeral', '--', 'sh', '-c', 'x'], ['--ephemeral']],
    // For this machine.
    [['boot', 'IMAGE', '--vm', '--machine', 'm', '-p', '80:80', '-v', '/a:/b'], []],
    [['boot', 'IMAGE', '--isolate', '--machine-memory', '1G', '--machine-cpus', '2'], []],
    [['boot', 'IMAGE', '--machine-disk', 'none'], []],
    [['--home', '/elsewhere', 'boot', 'IMAGE'], []],
    [['boot', 'IMAGE', '--home', '/elsewhere'], []],
    // Global, and for both.
    [['--json', 'boot', 'IMAGE'], ['--json']],
    [['boot', 'IMAGE', '--json'], ['--json']],
    [['ps', '-a'], ['--all']],
    [['rm', '-f', 'one', 'two'], ['--force']],
    [
      ['exec', '-it', 'web', '--', 'sh', '--json'],
      ['--interactive', '--tty']
    ]
  ]
  for (const [args, words] of table) {
    const verb = args.find((word) => ['boot', 'ps', 'rm', 'exec'].includes(word))!
    const [first, ...rest] = await wordsOf(...args)
    t.is(first, verb)
    t.alike(rest.sort(), [...words].sort(), args.join(' '))
  }
})
