import { readdirSync, readFileSync } from 'node:fs'

/** Processes of QEMU whose arguments name something of a directory, zombies not counted. */
export function findGuests(directory: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
        return /^\S*qemu-system/.test(command) && command.includes(directory) ? [command] : []
      } catch {
        return []
      }
    })
}
