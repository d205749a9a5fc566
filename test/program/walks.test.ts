import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const STEP = /^\d+\. `([\w/-]+\.ts)` `(\w+)`/gm

void test('the walks that the architecture page draws name what is there', (t) => {
  const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8')
  const section = /^## Three walks\n([\s\S]*?)^## /m.exec(page)?.[1] ?? ''
  const steps = [...section.matchAll(STEP)]
  t.is(steps.length, 29, 'two walks of ten steps, and one of nine')
  for (const [, file = '', name = ''] of steps) {
    const source = readFileSync(join(ROOT, 'src', file), 'utf8')
    t.ok(new RegExp(`(function|class) ${name}\\b`).test(source), `${file} has ${name}`)
  }
})
