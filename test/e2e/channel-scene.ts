import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Failure, Shared } from './results.ts'
import type { Machine, Sandbox } from './sandbox.ts'

/** The parts of a channel's listing that the tests look at. */
export interface Channel {
  readonly link: string | null
  readonly mirrorLink: string
  readonly image: string | null
  readonly record: number
  readonly role: string
  readonly follows: string | null
}

/** Publishes an image with one file, `/name`, whose content is the image's name. */
export async function image(sandbox: Sandbox, machine: Machine, name: string): Promise<Shared> {
  const source = join(sandbox.directory, `source-${name}`)
  mkdirSync(source, { recursive: true })
  writeFileSync(join(source, 'name'), name)
  return machine.json<Shared>('share', source, '--name', name)
}

/** Publishes another version of {@link image}. @param text content of its file */
export async function version(
  sandbox: Sandbox,
  machine: Machine,
  name: string,
  text: string
): Promise<Shared> {
  const source = join(sandbox.directory, `source-${name}`)
  writeFileSync(join(source, 'name'), text)
  return machine.json<Shared>('share', source, '--update', name)
}

/** Tells status, code and message of a command that fails. */
export async function refusal(machine: Machine, ...args: string[]): Promise<string> {
  const ran = await machine.run('--json', ...args)
  if (ran.exitCode === 0) return 'it succeeded'
  const { code, message } = (JSON.parse(ran.stderr) as Failure).error
  return `${ran.exitCode} ${code}: ${message}`
}
