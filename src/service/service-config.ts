import { MARK } from './unit-text.ts'

/**
 * Puts settings into the text of a configuration file: in place of the lines that set the same keys, else at its end. All
 * other lines stay as they are.
 *
 * @param text of the file before; empty where there is none
 */
export function withSettings(text: string, settings: Readonly<Record<string, string>>): string {
  const lines =
    text === '' ? [MARK, '# Settings of the service: KEY = VALUE.'] : text.trimEnd().split('\n')
  for (const [key, value] of Object.entries(settings)) {
    const line = `${key} = ${value}`
    const at = lines.findIndex((each) => /^\s*([^\s=#]+)\s*=/.exec(each)?.[1] === key)
    if (at === -1) lines.push(line)
    else lines[at] = line
  }
  return `${lines.join('\n')}\n`
}
