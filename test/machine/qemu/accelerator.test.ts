import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { arch, tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { probeGuest, type ProbeGuest } from '../../../src/core/host/kvm-probe.ts'
import { chooseAccelerator, probeAccelerator } from '../../../src/machine/qemu/accelerator.ts'
import { findProgram } from '../../../src/machine/qemu/find-qemu.ts'

const skip = arch() !== 'x64' || findProgram('linux', 'qemu-system-x86_64') === undefined
const QEMU = { program: findProgram('linux', 'qemu-system-x86_64') ?? '', version: '1.2.3' }
const HOST = { platform: 'linux', architecture: 'x64' } as const

test('the test guest runs in software: what fails it is the accelerator', { skip }, async (t) => {
  t.is((await probeAccelerator('tcg', 'x64', QEMU)).verdict, 'works')
  const arm = findProgram('linux', 'qemu-system-aarch64')
  if (arm === undefined) t.comment('not tried for arm64: there is no qemu-system-aarch64')
  else t.is((await probeAccelerator('tcg', 'arm64', { program: arm })).verdict, 'works', 'arm64')
  t.is((await probeAccelerator('hvf', 'x64', QEMU)).verdict, 'refused', 'not in this QEMU')
})

test(
  'an accelerator that does not work is left for software, and remembered',
  { skip },
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'dat-accelerator-'))
    t.teardown(() => rmSync(directory, { recursive: true }))
    const cache = join(directory, 'accelerators.json')
    const question = { asked: 'auto', host: HOST, guest: 'x64', qemu: QEMU, cache } as const
    const chosen = await chooseAccelerator(question)
    if (!existsSync('/dev/kvm')) {
      t.is(chosen.accelerator, 'tcg')
      t.ok(chosen.notice?.includes('no /dev/kvm'))
      await t.exception(() => chooseAccelerator({ ...question, asked: 'kvm' }), /no KVM/)
      return
    }
    const { verdict } = await probeAccelerator('kvm', 'x64', QEMU)
    t.is(chosen.accelerator, verdict === 'works' ? 'kvm' : 'tcg', `KVM ${verdict}`)
    t.is(chosen.notice === undefined, verdict === 'works', chosen.notice ?? 'no notice')
    t.alike(await chooseAccelerator({ ...question, asked: 'kvm' }), chosen, 'asked for by name')
    // What a probe found is not looked for again, until QEMU is another.
    const kept = JSON.parse(readFileSync(cache, 'utf8')) as Record<string, { probe: object }>
    const [entry] = Object.values(kept)
    if (entry === undefined) return t.fail('nothing was kept')
    entry.probe = { verdict: 'hangs', detail: 'a planted guest hung' }
    writeFileSync(cache, JSON.stringify(kept))
    t.ok((await chooseAccelerator(question)).notice?.includes('kvm opens but a planted guest hung'))
    const other = await chooseAccelerator({ ...question, qemu: { ...QEMU, version: '9.9' } })
    t.absent(other.notice?.includes('planted'), 'another QEMU is probed')
  }
)

void test('what another processor or platform would be needed for', async (t) => {
  const cache = '/nowhere'
  const question = { asked: 'auto', host: HOST, guest: 'arm64', qemu: QEMU, cache } as const
  const chosen = await chooseAccelerator(question)
  t.is(chosen.accelerator, 'tcg')
  t.ok(chosen.notice?.includes('the guest wants arm64'))
  await t.exception(() => chooseAccelerator({ ...question, asked: 'hvf' }), /does not run arm64/)
  t.alike(await chooseAccelerator({ ...question, asked: 'tcg' }), { accelerator: 'tcg' })
})

void test('an accelerator that is slower than software is none', async (t) => {
  const guest = (seconds: number): ProbeGuest => ({
    program: 'sh',
    image: Buffer.alloc(0),
    argv: ['-c', `sleep ${seconds}; exit 33`],
    exitCode: 33
  })
  const slow = await probeGuest(guest(1.5), guest(0.1))
  t.is(slow.verdict, 'hangs')
  t.ok(/took [\d.]+ times as long as in software/.test(slow.detail), slow.detail)
  t.is((await probeGuest(guest(1.5), guest(1.4))).verdict, 'works', 'a machine that is slow at all')
  t.is((await probeGuest(guest(0.1), guest(0))).verdict, 'works', 'one that is quick')
})
