import type { EntryPlan } from './entry-plan.ts'
import { execute, say } from './execute.ts'
import { groupList } from './groups.ts'
import { ProgramBuilder } from './program-builder.ts'
import type { Processor } from './system-calls.ts'

const NOT_STARTED = 125
const WORD_BYTES = 8
/** _LINUX_CAPABILITY_VERSION_3: two words for each of three sets. */
const CAPABILITY_VERSION = 0x2008_0522n

export interface UserCommand {
  readonly user: EntryPlan['user']
  /** Path of the command in the container. */
  readonly path: string
  /** How many arguments the command has, its own name included. */
  readonly argumentCount: number
}

/**
 * Makes a program that becomes a user by the numbers alone and then is a command: it is called with
 * the command's arguments behind its own name, and passes its variables on; pure.
 */
export function makeUserProgram(
  { user, path, argumentCount }: UserCommand,
  processor: Processor
): Buffer {
  const builder = new ProgramBuilder(processor)
  const { data } = builder
  const [argv, env] = [data.words(0n), data.words(0n)]
  builder.failuresTo = 'failed'
  builder.stack()
  // The count, and the program's own name.
  builder.add(2 * WORD_BYTES)
  builder.store(argv)
  // The arguments, and the null that ends them.
  builder.add((argumentCount + 1) * WORD_BYTES)
  builder.store(env)
  const groups = data.bytes(groupList(user.groups))
  builder.call('become the user', 'setgroups', user.groups.length, groups)
  builder.call('become the user', 'setresgid', user.gid, user.gid, user.gid)
  builder.call('become the user', 'setresuid', user.uid, user.uid, user.uid)
  // A user but root gets nothing by executing a file; where a filter denies it, so be it.
  if (user.uid !== 0) builder.try('capset', data.words(CAPABILITY_VERSION), data.words(0n, 0n, 0n))
  execute(builder, path, { at: argv }, { at: env })
  builder.label('failed')
  say(
    builder,
    `cannot become user ${user.uid}:${user.gid}: that requires CAP_SETUID and CAP_SETGID`
  )
  builder.end(NOT_STARTED)
  return builder.toElf()
}
