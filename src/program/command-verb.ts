/**
 * A command line's verb and what is behind it, told before anything is parsed. A guess: of options that may
 * stand before a verb, it knows `--json`.
 *
 * @param args without the program itself
 */
export function verbOf(args: readonly string[]): [verb: string | undefined, rest: string[]] {
  const [verb, ...rest] = args[0] === '--json' ? args.slice(1) : args
  return [verb, rest]
}
