import { readFileSync } from 'node:fs'

/** What Node.js puts for bytes of an argument that are no UTF-8. */
const REPLACEMENT = '\u{FFFD}'
/** Where the loader keeps the arguments that it hides (`src/program/hide-arguments.ts`). */
const KEPT = Symbol.for('dat-container.arguments')

/**
 * The bytes of an argument of this process. Node.js has text alone, in which bytes that are not UTF-8 are lost; the kernel
 * has them, or the loader where it has hidden them.
 *
 * @returns the text where that is all there is
 */
export function argumentBytes(text: string): string | Buffer {
  if (!text.includes(REPLACEMENT)) return text
  const given = commandLine().filter((argument) => argument.toString() === text)
  const distinct = given.filter(
    (argument, n) => given.findIndex((one) => one.equals(argument)) === n
  )
  return distinct.length === 1 ? distinct[0]! : text
}

function commandLine(): Buffer[] {
  try {
    const kept: unknown = Reflect.get(globalThis, KEPT)
    const all = typeof kept === 'string' ? kept : readFileSync('/proc/self/cmdline', 'latin1')
    return all.split('\0').map((argument) => Buffer.from(argument, 'latin1'))
  } catch {
    return []
  }
}
