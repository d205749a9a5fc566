import test from 'brittle'
import { planPrestart } from '../../src/cli/parse/prestart-plan.ts'

const NONE: string[] = []
const CASES: readonly (readonly [line: string, programs: string[]])[] = [
  ['boot LINK', ['mounter']],
  ['boot LINK -n web -d --wait ready', ['mounter', 'runner']],
  ['--json boot LINK --detach', ['mounter', 'runner']],
  ['boot LINK -- sh -d --vm', ['mounter']],
  ['boot', NONE],
  ['boot --help', NONE],
  ['boot LINK --vm', NONE],
  ['boot LINK --isolate -d', NONE],
  ['boot LINK --machine=m', NONE],
  ['boot LINK -p 80:80', NONE],
  ['boot LINK --home /elsewhere', NONE],
  ['boot LINK --bootstrap=127.0.0.1:1', NONE],
  ['--home /elsewhere boot LINK', NONE],
  ['mount LINK /mnt', NONE],
  ['help boot', NONE],
  ['', NONE]
]

void test('what a command line will need is foreseen', (t) => {
  for (const [line, programs] of CASES) {
    t.alike(planPrestart(line.split(' '), undefined), programs, line)
  }
  t.alike(planPrestart(['boot', 'LINK'], 'always'), [], 'nothing where all runs in a machine')
})
