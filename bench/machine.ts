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
import { cannotStart, Guest, HARDWARE } from '../test/os-image/guest.ts'
import { report, type Row } from './report.ts'
import { median, rounded } from './statistics.ts'
import { stockDebian } from './stock-debian.ts'

/** What the initramfs of Debian prompts with. */
const PROMPT = '(initramfs)'
const POLL_MS = 50
const LIMIT_MS = 10 * 60_000

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
  const ways: [string, () => Promise<number>][] = [
    ['HyperOS, ssh', () => hyperOs(keyFile, publicKey)],
    ['Debian, shell before its modules', () => debian('top')],
    ['Debian, shell before its root', () => debian('premount')]
  ]
  for (let run = 1; run <= runs; run++) {
    for (const [what, start] of shuffled(ways)) {
      const ms = await start()
      samples.push({ run, what, ms: rounded(ms) })
      console.log(`${run}: ${what} after ${rounded(ms / 1000, 1)} s`)
    }
  }
} finally {
  await rm(directory, { recursive: true, force: true })
}

const medianOf = (name: string): number =>
  median(samples.flatMap(({ what, ms }) => (what === name ? [Number(ms)] : [])))
const names = [...new Set(samples.map(({ what }) => String(what)))].sort()
const hyper = medianOf('HyperOS, ssh')
const summary = names.map((what) => ({
  what,
  'median ms': rounded(medianOf(what)),
  'HyperOS takes times': rounded(hyper / medianOf(what), 2)
}))
report('machine', { samples, summary })

async function hyperOs(keyFile: string, publicKey: string): Promise<number> {
  const began = performance.now()
  await using _guest = await Guest.start({ directory, keyFile, append: `sshkey="${publicKey}"` })
  return performance.now() - began
}

/**
 * @param place where the initramfs is to stop and give a shell, as initramfs-tools(7) has it; with a
 *   `panic=` beside it there would be none
 */
async function debian(place: string): Promise<number> {
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
    return performance.now() - began
  } finally {
    qemu.kill('SIGKILL')
    await qemu
  }
}

function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)
}
