import { readFileSync } from 'node:fs'

const MOUNT_POINT_FIELD = 4

/**
 * Absolute paths at which something is mounted, as this process sees them; latin1 text, a unit a byte. Empty on a
 * system that does not tell.
 */
export function mountPoints(): ReadonlySet<string> {
  let table: string
  try {
    table = readFileSync('/proc/self/mountinfo', 'latin1')
  } catch {
    return new Set()
  }
  return new Set(
    table.split('\n').map((line) => unescaped(line.split(' ')[MOUNT_POINT_FIELD] ?? ''))
  )
}

/** Blanks, line breaks and backslashes are octal numbers in the table. */
function unescaped(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_whole, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8))
  )
}
