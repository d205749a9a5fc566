import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { examine } from '../../src/doctor/doctor.ts'
import { fail, partly, pass } from '../../src/doctor/doctor-check.ts'
import { exitingBootSector } from '../../src/core/host/kvm-probe.ts'
import { describeLack, lackHint } from '../../src/doctor/lack-hint.ts'
import { installCommand } from '../../src/core/host/package-manager.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'

void test('doctor says what there is, how to mend what is not, and leaves nothing', async (t) => {
  const before = snapshot()
  const checks = await examine({ home: '/nowhere/yet' })
  for (const { name, ok, detail, remedy } of checks) {
    t.ok(detail !== '' && (ok === 'yes') === (remedy === ''), `${name}: ${ok}: ${detail} ${remedy}`)
  }
  for (const needed of ['fuse', 'overlay', 'systemd-nspawn', 'tools']) {
    t.is(checks.find(({ name }) => name === needed)?.ok, 'yes', needed)
  }
  t.alike(await leftAfter(before, 'dat-container-doctor'), [])
})

void test('what a doctor that was killed has mounted, the next takes down', async (t) => {
  const ended = spawnSync('true').pid
  const directory = (pid: number): string =>
    mkdtempSync(join(tmpdir(), `dat-container-doctor-${pid}-`))
  const [killed, living] = [directory(ended), directory(process.pid)]
  for (const each of [killed, living]) {
    spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', each])
    mkdirSync(join(each, 'merged'))
    spawnSync('mount', ['-t', 'tmpfs', 'tmpfs', join(each, 'merged')])
  }
  try {
    await examine({ home: '/nowhere/yet' })
    t.absent(existsSync(killed), 'it is gone')
    t.ok(existsSync(join(living, 'merged')), 'that of one that still runs is left alone')
  } finally {
    spawnSync('umount', ['--recursive', living])
    rmSync(living, { recursive: true })
  }
})

void test('errors tell of what a machine lacks, and of doctor only where it lacks something', async (t) => {
  t.is(await lackHint(), undefined, 'this machine runs containers')
  const fine = pass('fuse', 'is there')
  const poor = partly('overlay', 'cannot be tried', 'run with sudo')
  const fuse = fail('fuse', 'there is no /dev/fuse', 'modprobe fuse')
  const nspawn = fail('systemd-nspawn', 'is not installed', 'apt-get install -y systemd-container')
  t.is(describeLack([fine, poor]), undefined)
  t.is(
    describeLack([fine, fuse, poor]),
    'this machine lacks fuse: there is no /dev/fuse; mend it: modprobe fuse'
  )
  t.is(
    describeLack([fuse, nspawn]),
    'this machine lacks fuse, systemd-nspawn; dat-container doctor tells how to fix that'
  )
})

void test('install commands name the package of each distribution', (t) => {
  t.is(installCommand('systemd-nspawn', 'apt'), 'apt-get install -y systemd-container')
  t.is(installCommand('unshare', 'dnf'), 'dnf install -y util-linux')
  t.is(installCommand('libfuse', 'pacman'), 'pacman -S --noconfirm fuse2')
})

void test('the boot sector is one, and its parts do not run into each other', (t) => {
  const sector = exitingBootSector()
  t.is(sector.length, 512)
  t.alike([...sector.subarray(510)], [0x55, 0xaa])
  t.alike(
    [...sector.subarray(0xf0, 0x100)],
    Array.from({ length: 16 }, () => 0)
  )
})
