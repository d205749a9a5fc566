import { execute } from './execute.ts'
import { REPORT_BYTES, type EntryPlan, type ResourceLimit } from './entry-plan.ts'
import { groupList } from './groups.ts'
import { LOWEST_ERROR, type Operand } from './instructions.ts'
import { ProgramBuilder } from './program-builder.ts'
import type { Processor } from './system-calls.ts'

/** A page that the program maps, and that its processes share. */
const SHARED_PAGE = 0x2000_0000n
const PAGE_BYTES = 4096
const PROTECT_READ_WRITE = 3
/** MAP_SHARED, MAP_FIXED, MAP_ANONYMOUS. */
const SHARED_ANONYMOUS = 0x1 | 0x10 | 0x20

const CLONE = {
  vm: 0x100,
  fs: 0x200,
  files: 0x400,
  signalHandlers: 0x800,
  parent: 0x8000,
  thread: 0x1_0000,
  childSetTid: 0x100_0000,
  newPid: 0x2000_0000
} as const
const SIGHUP = 1
const SIGCHLD = 17
const SIGNAL_EXIT_BASE = 128
const TIOCSCTTY = 0x540e
const TIOCNOTTY = 0x5422
const PRCTL = {
  setDumpable: 4,
  setKeepCapabilities: 8,
  setName: 15,
  dropBounding: 24,
  setNoNewPrivileges: 38,
  ambient: 47
} as const
const AMBIENT_RAISE = 2
const JOIN_SESSION_KEYRING = 1
const [AT_FDCWD, WRITE_ONLY] = [-100n, 1]
const CAPABILITY_VERSION = 0x2008_0522n
const FILTER_MODE = 1
/** Give the filter to all threads. */
const FILTER_TO_THREADS = 1
const INSTRUCTION_BYTES = 8
const FIRST_FREE_DESCRIPTOR = 3
const LAST_DESCRIPTOR = 0xffff_ffff
/** The mask that programs expect, independent of the user of this machine. */
const FILE_MODE_MASK = 0o022
const MADV_DONTFORK = 10
const FAILED = 125
const SIGNAL_BITS = 0x7f

/**
 * Makes the program that starts a command in a container: an executable without a library, which is
 * nothing but the system calls that one start takes; pure.
 *
 * Three processes run it. The first stays outside, waits, and ends with the command's status. The
 * second joins the container step by step until it has no more rights than the command is to have,
 * and then forks the third into the container's PID namespace; so nothing that a process in the
 * container sees is more than such a process itself. Behind the filter nothing is believed of a
 * system call: the container's PID 1 may have made a filter that lets calls fail as if they had
 * worked.
 */
export function makeEntryProgram(plan: EntryPlan, processor: Processor): Buffer {
  const builder = new ProgramBuilder(processor, SHARED_PAGE)
  const { data } = builder
  const [second, ended, status] = [data.words(0n), data.words(0n), data.words(0n)]
  // If the program is run again inside the container, there is no such descriptor.
  builder.try('write', plan.descriptors.report, 0, 0)
  builder.jumpIf('atLeast', LOWEST_ERROR, 'elsewhere')
  builder.failuresTo = 'report'
  builder.try('prctl', PRCTL.setDumpable, 0)
  builder.call(
    'share memory',
    ...(['mmap', SHARED_PAGE, PAGE_BYTES, PROTECT_READ_WRITE, SHARED_ANONYMOUS, -1n, 0] as const)
  )
  if (plan.terminal) leaveTerminal(builder)
  builder.call('fork', 'clone', SIGCHLD, 0, 0, 0, 0)
  builder.jumpIf('equal', 0, 'join')
  builder.store(second)

  builder.failuresTo = undefined
  builder.label('wait')
  builder.try('wait4', -1n, status, 0, 0)
  builder.jumpIf('atLeast', LOWEST_ERROR, 'report')
  builder.store(ended)
  builder.load(SHARED_PAGE)
  builder.jumpIf('notEqual', 0, 'report')
  builder.load(ended)
  builder.jumpIf('notEqual', { at: second }, 'pass on')
  // The second ends as soon as there is the third.
  builder.load(status)
  builder.jumpIf('equal', 0, 'wait')
  builder.label('report')
  builder.try('write', plan.descriptors.report, SHARED_PAGE, REPORT_BYTES)
  builder.label('elsewhere')
  builder.end(FAILED)

  builder.label('pass on')
  builder.load(status)
  builder.and(SIGNAL_BITS)
  builder.jumpIf('notEqual', 0, 'signalled')
  builder.load(status)
  builder.shiftRight(8)
  builder.and(0xff)
  builder.store(status)
  builder.end({ at: status })
  builder.label('signalled')
  builder.add(SIGNAL_EXIT_BASE)
  builder.store(status)
  builder.end({ at: status })

  builder.label('join')
  const turn = join(builder, plan)
  startCommand(builder, plan, turn, processor)
  return builder.toElf()
}

/**
 * A controlling terminal can be given to a session in the container once it is no session's: the
 * first process leads the one that has it.
 */
function leaveTerminal(builder: ProgramBuilder): void {
  const [handlerDefault, handlerIgnore] = [0n, 1n].map((handler) =>
    builder.data.words(handler, 0n, 0n, 0n)
  ) as [bigint, bigint]
  // Leaving the session sends SIGHUP.
  builder.call('leave the terminal', 'rt_sigaction', SIGHUP, handlerIgnore, 0, 8)
  builder.try('ioctl', 0, TIOCNOTTY, 0)
  builder.call('leave the terminal', 'rt_sigaction', SIGHUP, handlerDefault, 0, 8)
}

/**
 * From a process of this machine to one of the container, but for its PID namespace.
 *
 * @returns the word by which it and the thread that installs the filters take turns
 */
function join(builder: ProgramBuilder, plan: EntryPlan): bigint {
  const { data } = builder
  const { descriptors, user, capabilities } = plan
  // Else the command had this machine's keys in its session.
  builder.try('keyctl', JOIN_SESSION_KEYRING, 0)
  const itself = data.text('0')
  for (const cgroup of descriptors.cgroups) {
    builder.call('join the cgroup', 'write', cgroup, itself, 1)
  }
  setOomScore(builder, plan.oomScoreAdjustment)
  for (const { resource, limits } of plan.limits.map(limitWords)) {
    builder.call('set a resource limit', 'prlimit64', 0, resource, data.words(...limits), 0)
  }
  builder.call('set attributes', 'personality', plan.personality)
  // Fails where the cgroup allows none of them, and then that is what counts.
  builder.try('sched_setaffinity', 0, plan.processors.length, data.bytes(plan.processors))
  // All at once: the rights that count are those from before, and a container with users of its own
  // may have this machine's network.
  builder.call('join the namespaces', 'setns', descriptors.leader, plan.namespaces & ~CLONE.newPid)
  builder.call('change the root', 'fchdir', descriptors.root)
  builder.call('change the root', 'chroot', data.text('.'))
  const turn = data.words(0n)
  // No thread can be started once the PID namespace of children is another.
  if (plan.filters.length > 0) startFilterThread(builder, plan.filters, turn)
  builder.call('join the namespaces', 'setns', descriptors.pidNamespace, CLONE.newPid)
  // Before any path of the container is followed.
  builder.call('close files', 'close_range', FIRST_FREE_DESCRIPTOR, LAST_DESCRIPTOR, 0)
  for (const bit of bitsOf(capabilities.dropped)) {
    builder.call('limit capabilities', 'prctl', PRCTL.dropBounding, bit)
  }
  builder.call('become the user', 'prctl', PRCTL.setKeepCapabilities, 1)
  const groups = data.bytes(groupList(user.groups))
  builder.call('become the user', 'setgroups', user.groups.length, groups)
  builder.call('become the user', 'setresgid', user.gid, user.gid, user.gid)
  builder.call('become the user', 'setresuid', user.uid, user.uid, user.uid)
  // A change of ids makes a process readable for others again, where the machine says so.
  builder.try('prctl', PRCTL.setDumpable, 0)
  builder.call('set attributes', 'umask', FILE_MODE_MASK)
  return turn
}

function setOomScore(builder: ProgramBuilder, adjustment: string): void {
  const file = builder.data.words(0n)
  const path = builder.data.text('/proc/self/oom_score_adj')
  builder.call('set the OOM score', 'openat', AT_FDCWD, path, WRITE_ONLY, 0)
  builder.store(file)
  const text = builder.data.text(adjustment)
  builder.call('set the OOM score', 'write', { at: file }, text, adjustment.length)
}

function limitWords({ resource, soft, hard }: ResourceLimit): {
  resource: number
  limits: [bigint, bigint]
} {
  return { resource, limits: [soft, hard] }
}

function bitsOf(set: bigint): number[] {
  const bits = set.toString(2).split('').toReversed()
  return bits.flatMap((bit, index) => (bit === '1' ? [index] : []))
}

/** From a process with all rights in the container to the command. */
function startCommand(
  builder: ProgramBuilder,
  plan: EntryPlan,
  turn: bigint,
  processor: Processor
): void {
  const { data } = builder
  const { permitted, inheritable, ambient } = plan.capabilities
  setCapabilities(builder, permitted, inheritable)
  for (const bit of bitsOf(ambient)) {
    builder.call('set capabilities', 'prctl', PRCTL.ambient, AMBIENT_RAISE, bit, 0, 0)
  }
  if (plan.noNewPrivileges) {
    builder.call('set attributes', 'prctl', PRCTL.setNoNewPrivileges, 1, 0, 0, 0)
  }
  builder.call('change the directory', 'chdir', data.text(plan.cwd))
  if (plan.filters.length > 0) {
    builder.set(1)
    builder.store(turn)
    awaitWord(builder, turn, 2)
  }
  // The command's process gets nothing that one of this machine reads.
  builder.call('share memory', 'madvise', SHARED_PAGE, PAGE_BYTES, MADV_DONTFORK)
  const pid = data.words(0n)
  const start = 'start in the PID namespace'
  const flags = SIGCHLD | CLONE.parent | CLONE.childSetTid
  builder.call(start, 'clone', ...cloneOperands(processor, flags, pid))
  builder.jumpIf('equal', 0, 'third')
  builder.end(0)

  builder.label('third')
  // A filter can let clone(2) seem to have worked, but not write here.
  builder.load(pid)
  builder.jumpIf('equal', 0, builder.failure(start))
  // Its session begins here, as a shell must see the leader of its process group.
  builder.try('setsid')
  if (plan.terminal) builder.try('ioctl', 0, TIOCSCTTY, 0)
  execute(builder, plan.path, data.texts(plan.argv), data.texts(plan.env))
}

/**
 * Installing a filter takes CAP_SYS_ADMIN, and to give that up takes a system call that the filter
 * would already have its way with. So a thread that keeps its rights installs it for both, once the
 * other has given up everything. Both are outside the container's PID namespace, so nothing in the
 * container can reach either.
 */
function startFilterThread(
  builder: ProgramBuilder,
  filters: EntryPlan['filters'],
  turn: bigint
): void {
  const step = 'install the seccomp filter'
  const flags = CLONE.vm | CLONE.fs | CLONE.files | CLONE.signalHandlers | CLONE.thread
  builder.call(step, 'clone', flags, 0, 0, 0, 0)
  builder.jumpIf('notEqual', 0, 'limited')
  awaitWord(builder, turn, 1)
  for (const { flags, instructions } of filters) {
    const length = BigInt(instructions.length / INSTRUCTION_BYTES)
    const program = builder.data.words(length, builder.data.bytes(instructions))
    builder.call(step, 'seccomp', FILTER_MODE, flags | FILTER_TO_THREADS, program)
    // The id of a thread that could not get it.
    builder.jumpIf('notEqual', 0, builder.failure(step))
  }
  builder.set(2)
  builder.store(turn)
  builder.try('exit', 0)
  builder.trap()
  builder.label('limited')
}

function setCapabilities(builder: ProgramBuilder, permitted: bigint, inheritable: bigint): void {
  const sets = Buffer.alloc(24)
  for (const [half, shift] of [0n, 32n].entries()) {
    const part = (set: bigint): number => Number((set >> shift) & 0xffff_ffffn)
    sets.writeUInt32LE(part(permitted), 12 * half) // effective
    sets.writeUInt32LE(part(permitted), 12 * half + 4)
    sets.writeUInt32LE(part(inheritable), 12 * half + 8)
  }
  const header = builder.data.words(CAPABILITY_VERSION)
  builder.call('set capabilities', 'capset', header, builder.data.bytes(sets))
}

/** Waits, busily and for a moment, until another thread has written a word. */
function awaitWord(builder: ProgramBuilder, word: bigint, value: number): void {
  const label = `until ${value}`
  builder.label(label)
  builder.load(word)
  builder.jumpIf('notEqual', value, label)
}

/** The processors disagree on the order of the last two. */
function cloneOperands(processor: Processor, flags: number, childTid: bigint): Operand[] {
  const last = processor === 'x64' ? [childTid, 0n] : [0n, childTid]
  return [BigInt(flags), 0n, 0n, ...last]
}
