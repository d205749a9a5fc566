import test from 'brittle'
import { readProcess } from '../../../src/core/host/process-table.ts'
import { askPs, parsePs } from '../../../src/core/host/process-figures.ts'

void test('what ps says of a process', (t) => {
  const startTicks = Date.UTC(2026, 10, 1, 19, 15, 23) / 1000
  t.alike(parsePs('Ss       1   0:01.50 Sun Nov  1 19:15:23 2026    \n'), {
    state: 'S',
    parent: 1,
    startTicks,
    cpuTicks: 150,
    threads: 1
  })
  t.is(parsePs('R+ 1234 1-02:03:04 Sun Nov  1 19:15:23 2026')?.cpuTicks, (86_400 + 7384) * 100)
  t.is(parsePs(''), undefined)
})

void test('ps and /proc agree about this process', (t) => {
  const asked = askPs(process.pid)
  t.is(asked?.parent, readProcess(process.pid)?.parent)
  t.ok(Math.abs((asked?.startTicks ?? 0) * 1000 - (Date.now() - process.uptime() * 1000)) < 5000)
  t.is(askPs(2 ** 22 + 1), undefined, 'one that is not there')
})
