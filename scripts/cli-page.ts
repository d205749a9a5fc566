/**
 * Writes `docs/cli.md`, the reference of all verbs, from the same texts as `--help`.
 *
 *   node build/scripts/cli-page.js
 */
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { createProgram } from '../src/cli/program.ts'

const PAGE = fileURLToPath(new URL('../../docs/cli.md', import.meta.url))
const COLUMNS = 100

const INTRODUCTION = `# All verbs

This page is made from the texts of \`--help\` (\`npm run docs\`). The manual pages say the same: \`man dat-container-boot\`.

## Exit status

| status     | meaning                                                              |
| ---------- | -------------------------------------------------------------------- |
| 0          | done                                                                 |
| 1          | failed                                                               |
| 2          | wrong usage                                                          |
| 3          | not found, or not running                                            |
| 4          | no peer was reached in time                                          |
| 5          | the input was refused: a link, an archive, an image                  |
| 125 to 127 | as \`docker run\`: it could not start, not be executed, not be found   |
| 130        | interrupted                                                          |
| others     | of \`boot -- CMD\`, \`boot\` and \`exec\`: the container's own exit status |

With \`--json\`, every verb prints one document on stdout, and an error as a document with a \`code\` on stderr.
`

/** The page of a program: its introduction, then the help of each verb and of its verbs. */
export function cliPage(program: Command): string {
  return [INTRODUCTION, ...sectionsOf(program, [program.name()])].join('\n')
}

function sectionsOf(command: Command, path: readonly string[]): string[] {
  const inner = command
    .createHelp()
    .visibleCommands(command)
    .filter((verb) => verb.name() !== 'help')
  const section = `## ${path.join(' ')}\n\n\`\`\`text\n${helpOf(command).trim()}\n\`\`\`\n`
  return [section, ...inner.flatMap((verb) => sectionsOf(verb, [...path, verb.name()]))]
}

function helpOf(command: Command): string {
  let text = ''
  command
    .configureHelp({ showGlobalOptions: false })
    .configureOutput({
      writeOut: (part) => (text += part),
      getOutHelpWidth: () => COLUMNS,
      getOutHasColors: () => false
    })
    .outputHelp()
  return text.replace(/ +$/gm, '')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(PAGE, cliPage(createProgram()))
}
