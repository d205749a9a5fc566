import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from './host-command.ts'

/** What came of running a guest of 7 bytes. */
export type KvmVerdict = 'works' | 'hangs' | 'refused'

const SECTOR_BYTES = 512
const SIGNATURE = Uint8Array.of(0x55, 0xaa)
/** 55 ms each. A KVM that delivers no interrupts runs the first instructions of a guest all the same. */
const TIMER_TICKS = 3
const EXIT_PORT = 0xf4
const EXIT_VALUE = 0x10
/** What QEMU's isa-debug-exit device makes of the value. */
const EXPECTED_EXIT_CODE = (EXIT_VALUE << 1) | 1
const TIMED_OUT = 124
const TIMEOUT_MS = 5000

/** A boot sector that waits for some timer interrupts, then tells QEMU to exit. */
export function exitingBootSector(): Uint8Array {
  const sector = new Uint8Array(SECTOR_BYTES)
  const code = [
    '31c0 8ed8', // xor ax, ax; mov ds, ax
    '8a1e 6c04', // mov bl, [0x46c]: the BIOS counts timer interrupts there
    'fb', // sti
    'f4', // wait: hlt
    'a06c 04', // mov al, [0x46c]
    '28d8', // sub al, bl
    `3c${hexByte(TIMER_TICKS)}`, // cmp al, TIMER_TICKS
    '72f6', // jb wait
    `b0${hexByte(EXIT_VALUE)}`, // mov al, EXIT_VALUE
    `e6${hexByte(EXIT_PORT)}`, // out EXIT_PORT, al
    'fa f4' // cli; hlt
  ]
  sector.set(Buffer.from(code.join('').replaceAll(' ', ''), 'hex'))
  sector.set(SIGNATURE, SECTOR_BYTES - SIGNATURE.length)
  return sector
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0')
}

/**
 * Runs a tiny guest under QEMU, at most five seconds: /dev/kvm that opens says nothing about guests
 * that run (nested virtualization may hang them).
 *
 * @param accelerator `tcg` shows whether a bad verdict is QEMU's fault or KVM's
 * @throws ContainerError `MISSING_TOOL` without QEMU
 */
export async function probeGuest(
  accelerator: 'kvm' | 'tcg' = 'kvm'
): Promise<{ verdict: KvmVerdict; detail: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'dat-container-kvm-'))
  try {
    const image = join(directory, 'boot.img')
    await writeFile(image, exitingBootSector())
    const { exitCode, stderr } = await runCommand(
      'qemu-system-x86_64',
      guestArguments(accelerator),
      {
        timeoutMs: TIMEOUT_MS,
        cwd: directory
      }
    )
    const detail = stderr.trim().split('\n').at(-1) ?? ''
    if (exitCode === EXPECTED_EXIT_CODE) return { verdict: 'works', detail: 'a test guest ran' }
    if (exitCode === TIMED_OUT) return { verdict: 'hangs', detail: 'a test guest hung for 5 s' }
    return { verdict: 'refused', detail: detail || `QEMU ended with ${exitCode}` }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function guestArguments(accelerator: 'kvm' | 'tcg'): string[] {
  return [
    '-accel',
    accelerator,
    '-machine',
    'pc',
    '-m',
    '16',
    '-display',
    'none',
    '-nodefaults',
    '-no-user-config',
    '-no-reboot',
    '-device',
    `isa-debug-exit,iobase=0x${hexByte(EXIT_PORT)},iosize=0x04`,
    '-drive',
    // Named relative to the working directory: a comma in the path would end the option.
    'file=boot.img,format=raw,if=ide,snapshot=on'
  ]
}
