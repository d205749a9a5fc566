import { readFileSync } from 'node:fs'

/** Where the arguments are kept as bytes, for the program that is loaded: the kernel forgets them as they are hidden. */
const KEPT = Symbol.for('dat-container.arguments')
/** What Node.js puts for bytes of an argument that are no UTF-8. */
const REPLACEMENT = '\u{FFFD}'

/** As long as a secret at least: what else begins with a number sign stays. */
const SECRET = /#[a-z0-9]{40,}/gi

/**
 * Takes the secrets of links out of what `ps` shows of this process. Its title takes the place of its arguments, all
 * of them; until this is called they are there for everybody to read.
 */
export function hideArguments(): void {
  const { argv, argv0, execArgv } = process
  if (!argv.some((argument) => argument.search(SECRET) !== -1)) return
  if (argv.some((argument) => argument.includes(REPLACEMENT))) {
    Reflect.set(globalThis, KEPT, readFileSync('/proc/self/cmdline', 'latin1'))
  }
  const shown = [argv0, ...execArgv, ...argv.slice(1)]
  process.title = shown.map((argument) => argument.replace(SECRET, '#***')).join(' ')
}
