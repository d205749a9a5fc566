import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { cliPage } from '../../scripts/cli-page.ts'
import { createProgram } from '../../src/cli/program.ts'

void test('docs/cli.md says what --help says', (t) => {
  const page = readFileSync(fileURLToPath(new URL('../../../docs/cli.md', import.meta.url)), 'utf8')
  t.is(cliPage(createProgram()), page, 'else: npm run docs')
})
