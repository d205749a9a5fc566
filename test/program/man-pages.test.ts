import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from 'commander'
import test from 'brittle'
import { manPages } from '../../scripts/man-page.ts'
import { isOnHost } from '../../src/core/host/package-manager.ts'
import { createProgram } from '../../src/cli/program.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))

/** As a terminal of 200 columns shows it, without its typefaces and line breaks. */
function shown(page: string): string {
  const wide = '.ll 1000n\n.ad l\n.nh\n'
  const args = ['-man', '-Tutf8', '-Kutf8', '-ww', '-rHY=0', '-P-cbou', '-rLL=1000n']
  const text = execFileSync('groff', args, {
    input: wide + page,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'pipe']
  })
  return text.replace(/\s+/g, ' ')
}

void test('npm installs a page of each verb', (t) => {
  const { man } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { man: string[] }
  const pages = manPages(createProgram(), '0')
  t.alike(man.map((path) => basename(path)).sort(), pages.map(({ name }) => name).sort())
  for (const { name, text } of pages) {
    const written = readFileSync(join(ROOT, 'build/man', name), 'utf8')
      .split('\n')
      .slice(1)
    t.alike(written, text.split('\n').slice(1), name)
  }
})

const skip = !isOnHost('groff')

void test(`pages say what help says${skip ? ' (groff is not installed)' : ''}`, { skip }, (t) => {
  const program = createProgram()
  const pages = new Map(manPages(program, '0').map(({ name, text }) => [name, text]))
  for (const verb of program.createHelp().visibleCommands(program)) {
    const page = pages.get(`dat-container-${verb.name()}.1`)
    if (page === undefined) {
      t.is(verb.name(), 'help')
      continue
    }
    const text = shown(page)
    const help = verb.createHelp()
    const parts = [
      verb.description(),
      ...help.visibleOptions(verb).flatMap((it) => [help.optionTerm(it), it.description])
    ]
    t.alike(
      parts.filter((part) => !text.includes(part.replace(/\s+/g, ' '))),
      [],
      verb.name()
    )
  }
  t.ok(
    shown(pages.get('dat-container-share.1') ?? '').includes('podman export web | dat-container')
  )
})

void test(
  `what a text says is no request to groff${skip ? ' (groff is not installed)' : ''}`,
  { skip },
  (t) => {
    const verb = new Command('dat')
      .description('.SH \'\\fB-quoted\\fR\\- "line"')
      .option('--file <a\\b>', "'br with `ticks`")
      .addHelpText('after', "\n.so /etc/passwd\n'\\\"comment\n  dat --file 'a b'")
    const text = shown(manPages(verb, '"1"')[0]?.text ?? '')
    const expected = [
      '.SH \'\\fB-quoted\\fR\\- "line"',
      '--file <a\\b>',
      "'br with `ticks`",
      '.so /etc/passwd',
      '\'\\"comment',
      "dat --file 'a b'"
    ]
    t.alike(
      expected.filter((part) => !text.includes(part)),
      []
    )
  }
)
