import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const DECISIONS = join(ROOT, 'docs/decisions')

void test('a decision has context, decision, measurements and consequences, in this order', (t) => {
  const names = readdirSync(DECISIONS)
  t.ok(names.length > 40, `${names.length} decisions`)
  const others = names.filter((name) => {
    const text = readFileSync(join(DECISIONS, name), 'utf8')
    const sections = [...text.matchAll(/^## (.*)$/gm)].map(([, title]) => title).join(', ')
    const number = Number(name.slice(0, 4))
    return (
      sections !== 'Context, Decision, Measurements, Consequences' ||
      !text.startsWith(`# ${number}. `) ||
      // A place that figures were to be put in.
      /^[A-Z]{3,}(\|.*)?$/m.test(text)
    )
  })
  t.alike(others, [])
})

void test('no sentence of a page and no comment begins with Of', (t) => {
  const found: string[] = []
  let seen = 0
  for (const path of texts()) {
    seen++
    readFileSync(join(ROOT, path), 'utf8')
      .split('\n')
      .forEach((line, n) => {
        const begins = path.endsWith('.md')
          ? /(^|[.:!?]|[-*|])\s+Of\b|^Of\b/
          : /(\/\*\*?|\/\/|#)\s+Of\b|^\s*\*.*[.:!?]\s+Of\b/
        if (begins.test(line)) found.push(`${path}:${n + 1}`)
      })
  }
  t.ok(seen > 900, `${seen} files were looked at`)
  t.alike(found, [])
})

/** Pages and sources of ours, below the root. */
function texts(): string[] {
  const folders = ['docs', 'src', 'test', 'bench', 'scripts', 'os-image']
  const below = folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((path) => /\.(md|ts|sh)$/.test(path) && !/(^|\/)(dist|fixtures)/.test(path))
      .map((path) => join(folder, path))
  )
  return [...below, 'README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md']
}
