import { execa } from 'execa'
import { ContainerError } from '../src/core/errors.ts'

export interface CommandOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string>>
  readonly signal?: AbortSignal
  readonly input?: Uint8Array
  /** Show what it prints instead of keeping it. */
  readonly isLoud?: boolean
}

/** Name of a GNU tool for another architecture than this machine's. */
const CROSS_TOOL = /^(aarch64|x86_64)-linux-gnu-(.*)$/
/** Debian has the compiler in a package of its own for each language, all other tools in one. */
const COMPILERS = new Set(['gcc', 'g++'])

function hintFor(file: string): string {
  const [, machine = '', tool = ''] = CROSS_TOOL.exec(file) ?? []
  if (tool === '') return 'os-image/README.md lists what a build needs'
  const debian = `${machine.replace('_', '-')}-linux-gnu`
  return `install it: apt-get install ${COMPILERS.has(tool) ? tool : 'binutils'}-${debian}`
}

/**
 * Runs a program of this machine to its end.
 *
 * @returns what it printed
 * @throws ContainerError `MISSING_TOOL`, `CANCELLED`, `IO` with the end of what it complained of
 */
export async function run(
  file: string,
  args: readonly string[],
  options: CommandOptions = {}
): Promise<Buffer> {
  const result = await execa(file, args, {
    reject: false,
    encoding: 'buffer',
    maxBuffer: 1 << 30,
    stripFinalNewline: false,
    env: { LC_ALL: 'C', ...options.env },
    ...(options.isLoud === true ? { stdout: 2, stderr: 'inherit' } : {}),
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal })
  })
  if (result.code === 'ENOENT') {
    throw new ContainerError('MISSING_TOOL', `${file} is not installed`, {
      hint: hintFor(file)
    })
  }
  if (result.isCanceled) throw new ContainerError('CANCELLED', `${file} was cancelled`)
  if (result.exitCode !== 0) {
    const complaint = Buffer.from(result.stderr ?? '').toString()
    const end = complaint.trimEnd().split('\n').slice(-20).join('\n')
    throw new ContainerError('IO', `${file} ${args[0] ?? ''} ended with ${result.exitCode}: ${end}`)
  }
  return Buffer.from(result.stdout ?? '')
}
