import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** Programs of ours that others start, with the rooms that they are built in. */
const PROGRAMS = {
  'daemon-main': 'daemon',
  'mounter-main': 'boot/mounter',
  'runner-main': 'boot/runner'
} as const

/** Where a program of ours is: a bundle has all in one folder. */
export function programPath(name: keyof typeof PROGRAMS): string {
  const bundled = fileURLToPath(new URL(`./${name}.js`, import.meta.url))
  if (existsSync(bundled)) return bundled
  return fileURLToPath(new URL(`../../${PROGRAMS[name]}/${name}.js`, import.meta.url))
}
