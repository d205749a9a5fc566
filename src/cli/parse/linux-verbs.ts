import type { Command } from 'commander'
import { needsLinux } from '../../core/host/system-calls.ts'

const IN_A_MACHINE = 'use --vm: containers run in a machine'
const WITHOUT_MOUNT = 'use boot --vm, or look at the image with ls, cat and export'

/** What to do on another system, by the name of a verb that only Linux can carry out. */
const HINTS: Readonly<Record<string, string>> = {
  mount: WITHOUT_MOUNT,
  umount: WITHOUT_MOUNT,
  'netboot-serve': 'serve from a Linux machine',
  'attest-record': 'use machine attest'
}

/**
 * Refuses verbs, and options of them, that this system has no calls for. Comes after the hook that carries
 * verbs out in machines.
 *
 * @param platform as `process.platform`
 */
export function hookLinuxVerbs(program: Command, platform: NodeJS.Platform): void {
  if (platform === 'linux') return
  program.hook('preAction', (_program, command) => {
    const name = command.name()
    const hint = HINTS[name]
    if (hint !== undefined) throw needsLinux(name, hint)
    if (command.options.some(({ long }) => long === '--vm')) throw needsLinux(name, IN_A_MACHINE)
    if (name === 'share' && command.opts<{ profile?: boolean }>().profile === true) {
      throw needsLinux('share --profile', 'share without --profile, or on a Linux machine')
    }
  })
}
