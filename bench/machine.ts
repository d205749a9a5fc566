/**
 * Time from the start of QEMU until root can log in to HyperOS by ssh, against the time until Debian's
 * own kernel for clouds shows the shell of its own initramfs, in turns whose order is shuffled.
 * In software: the ratio is what counts.
 *
 *   node build/bench/machine.js ROOTFS [RUNS]
 */
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { readProcess } from '../src/core/host/process-table.ts'
import { cannotStart, Guest, HARDWARE } from '../test/os-image/guest.ts'
import { shuffled } from '../src/core/shuffled.ts'
import { report, type Row } from './report.ts'
import { median, rounded } from './statistics.ts'
import { stockDebian } from './stock-debian.ts'

/** What the initramfs of Debian prompts with. */
const PROMPT = '(initramfs)'
const POLL_MS = 50
const LIMIT_MS = 10 * 60_000
const MS_PER_TICK = 10

interface Start {
  readonly elapsedMs: number
  /** Processor time of QEMU until then, all its threads: what else the machine does matters less. */
  readonly cpuMs: number
}

const runs = Number(process.argv[3] ?? '5')
const reason = await cannotStart()
if (reason !== undefined || !Number.isInteger(runs) || runs < 1) {
  console.error(reason ?? 'usage: node build/bench/machine.js ROOTFS [RUNS]')
  process.exit(2)
}

const { kernel, initrd } = await stockDebian()
const directory = await mkdtemp(join(tmpdir(), 'dat-bench-machine-'))
const samples: Row[] = []
try {
  const keyFile = join(directory, 'key')
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile])
  const publicKey = (await readFile(`${keyFile}.pub`, 'utf8')).trim()
  const ways: [string, () => Promise<Start>][] = [
    ['HyperOS, ssh', () => hyperOs(keyFile, publicKey)],
    ['Debian, shell before its modules', () => debian('top')],
    ['Debian, shell before its root', () => debian('premount')]
  ]
  for (let run = 1; run <= runs; run++) {
    for (const [what, start] of shuffled(ways)) {
      const { elapsedMs, cpuMs } = await start()
      samples.push({ run, what, ms: rounded(elapsedMs), 'cpu ms': rounded(cpuMs) })
      console.log(
        `${run}: ${what} after ${rounded(elapsedMs / 1000, 1)} s, ` +
          `${rounded(cpuMs / 1000, 1)} s of processors`
      )
    }
  }
} finally {
  await rm(directory, { recursive: true, force: true })
}

const medianOf = (name: string, column: string): number =>
  median(samples.flatMap((row) => (row['what'] === name ? [Number(row[column])] : [])))
const names = [...new Set(samples.map(({ what }) => String(what)))].sort()
const HYPEROS = 'HyperOS, ssh'
const summary = names.map((what) => ({
  what,
  'median ms': rounded(medianOf(what, 'ms')),
  'HyperOS takes times': rounded(medianOf(HYPEROS, 'ms') / medianOf(what, 'ms'), 2),
  'median cpu ms': rounded(medianOf(what, 'cpu ms')),
  'times of processors': rounded(medianOf(HYPEROS, 'cpu ms') / medianOf(what, 'cpu ms'), 2)
}))
report('machine', { samples, summary })

async function hyperOs(keyFile: string, publicKey: string): Promise<Start> {
  const began = performance.now()
  await using guest = await Guest.start({ directory, keyFile, append: `sshkey="${publicKey}"` })
  return until(began, guest.pid)
}

/**
 * @param place where the initramfs is to stop and give a shell, as initramfs-tools(7) has it; with a
 *   `panic=` beside it there would be none
 */
async function debian(place: string): Promise<Start> {
  const serial = join(directory, `debian-${performance.now()}`)
  const began = performance.now()
  const qemu = execa(
    'qemu-system-x86_64',
    [
      ...HARDWARE,
      ...['-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot'],
      ...['-kernel', kernel, '-initrd', initrd],
      ...['-append', `console=ttyS0 break=${place}`],
      ...['-serial', `file:${serial}`]
    ],
    { reject: false }
  )
  try {
    for (;;) {
      if (existsSync(serial) && readFileSync(serial, 'latin1').includes(PROMPT)) break
      if (qemu.exitCode !== null) throw new Error(`QEMU ended: ${(await qemu).stderr}`)
      if (performance.now() - began > LIMIT_MS) throw new Error('Debian shows no shell')
      await sleep(POLL_MS)
    }
    return until(began, qemu.pid)
  } finally {
    qemu.kill('SIGKILL')
    await qemu
  }
}

function until(began: number, pid: number | undefined): Start {
  const elapsedMs = performance.now() - began
  return { elapsedMs, cpuMs: (readProcess(pid ?? 0)?.cpuTicks ?? 0) * MS_PER_TICK }
}
