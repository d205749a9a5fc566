import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { runCommand } from './host-command.ts'

/** What came of running a guest of a few instructions; `hangs` also where software is faster. */
export type KvmVerdict = 'works' | 'hangs' | 'refused'

const SECTOR_BYTES = 512
const SIGNATURE = Uint8Array.of(0x55, 0xaa)
/** 55 ms each. A KVM that delivers no interrupts runs the first instructions of a guest all the same. */
const TIMER_TICKS = 3
const EXIT_PORT = 0xf4
/** Where a BIOS loads the sector. */
const LOAD_ADDRESS = 0x7c00
/** Offset of the segment descriptors in the sector. */
const DESCRIPTORS = 0x100
const EXIT_VALUE = 0x10
/** What QEMU's isa-debug-exit device makes of the value. */
const EXPECTED_EXIT_CODE = (EXIT_VALUE << 1) | 1
const TIMED_OUT = 124
const TIMEOUT_MS = 5000
/** An accelerator that works takes a third of this. */
const QUICK_MS = 1000
/** An accelerator that takes this many times as long as software does accelerates nothing, and may never start a kernel. */
const MOST_TIMES = 2

/**
 * A boot sector that waits for some timer interrupts, switches to long mode with paging, as every
 * kernel does, and there tells QEMU to exit. A KVM that is broken may well run the first of these.
 */
export function exitingBootSector(): Uint8Array {
  const sector = Buffer.alloc(SECTOR_BYTES)
  const realMode = [
    '31c0 8ed8', // xor ax, ax; mov ds, ax
    '8a1e 6c04', // mov bl, [0x46c]: the BIOS counts timer interrupts there
    'fb', // sti
    'f4', // wait: hlt
    'a06c 04', // mov al, [0x46c]
    '28d8', // sub al, bl
    `3c${hexByte(TIMER_TICKS)}`, // cmp al, TIMER_TICKS
    '72f6', // jb wait
    'fa', // cli
    // Page tables at 0x1000, 0x2000 and 0x3000: one page of 2 MiB, mapped to itself.
    '66c706 0010 03200000 66c706 0410 00000000',
    '66c706 0020 03300000 66c706 0420 00000000',
    '66c706 0030 83000000 66c706 0430 00000000',
    '66b8 a0000000 0f22e0', // cr4 = PAE, PGE
    '66b8 00100000 0f22d8', // cr3 = 0x1000
    '66b9 800000c0 0f32 660d 00010000 0f30', // EFER: long mode
    '0f20c0 660d 01000080 0f22c0', // cr0: protection and paging
    `0f0116 ${hexAddress(DESCRIPTORS + 0x10)}` // lgdt
  ].join('')
  const start = Buffer.from(realMode.replaceAll(' ', ''), 'hex')
  const farJump = Buffer.from([0xea, 0, 0, 0x08, 0])
  farJump.writeUInt16LE(LOAD_ADDRESS + start.length + farJump.length, 1)
  const exit = [0xb0, EXIT_VALUE, 0xe6, EXIT_PORT, 0xf4] // mov al, …; out …, al; hlt
  sector.set([...start, ...farJump, ...exit])
  // A null descriptor, 64-bit code, then what lgdt reads: the table's last byte and its address.
  sector.write(`${'00'.repeat(8)}00000000009a2000`, DESCRIPTORS, 'hex')
  sector.write(`0f00${hexAddress(DESCRIPTORS)}0000`, DESCRIPTORS + 0x10, 'hex')
  sector.set(SIGNATURE, SECTOR_BYTES - SIGNATURE.length)
  return sector
}

/** The address that an offset in the sector is loaded to, as two little-endian bytes. */
function hexAddress(offset: number): string {
  const address = LOAD_ADDRESS + offset
  return hexByte(address & 0xff) + hexByte(address >> 8)
}

function hexByte(value: number): string {
  return value.toString(16).padStart(2, '0')
}

/** A guest that ends QEMU by itself, and how to run it. */
export interface ProbeGuest {
  readonly program: string
  readonly image: Uint8Array
  /** QEMU's arguments; it runs where the image is, as `boot.img`. */
  readonly argv: readonly string[]
  /** What QEMU exits with when the guest ran. */
  readonly exitCode: number
}

/**
 * {@link exitingBootSector} on QEMU.
 *
 * @param processor the arguments that choose accelerator and processor
 */
export function bootSectorGuest(
  processor: readonly string[],
  program = 'qemu-system-x86_64'
): ProbeGuest {
  const argv = [
    ...processor,
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
  return { program, image: exitingBootSector(), argv, exitCode: EXPECTED_EXIT_CODE }
}

/** What came of a probe, in one phrase. */
export interface GuestProbe {
  readonly verdict: KvmVerdict
  readonly detail: string
}

/**
 * Runs a tiny guest under QEMU, at most five seconds: /dev/kvm that opens says nothing about guests
 * that run. Nested virtualization may hang them, or run them many times slower than software does.
 *
 * @param guest @default a boot sector under KVM
 * @param software the same guest without the accelerator: run as well where `guest` was slow
 * @throws ContainerError `MISSING_TOOL` without QEMU
 */
export async function probeGuest(
  guest = bootSectorGuest(['-accel', 'kvm', '-cpu', 'host']),
  software = bootSectorGuest(['-accel', 'tcg'])
): Promise<GuestProbe> {
  const { tookMs, ...probe } = await run(guest)
  if (probe.verdict !== 'works' || tookMs < QUICK_MS) return probe
  const other = await run(software)
  const times = tookMs / other.tookMs
  if (other.verdict !== 'works' || times < MOST_TIMES) return probe
  const detail = `a test guest took ${times.toFixed(1)} times as long as in software`
  return { verdict: 'hangs', detail }
}

async function run(guest: ProbeGuest): Promise<GuestProbe & { readonly tookMs: number }> {
  const directory = await mkdtemp(join(tmpdir(), 'dat-container-kvm-'))
  try {
    await writeFile(join(directory, 'boot.img'), guest.image)
    const began = performance.now()
    const { exitCode, stderr } = await runCommand(guest.program, guest.argv, {
      timeoutMs: TIMEOUT_MS,
      cwd: directory
    })
    const tookMs = performance.now() - began
    return { ...judge(guest, exitCode, stderr), tookMs }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function judge(guest: ProbeGuest, exitCode: number, stderr: string): GuestProbe {
  if (exitCode === guest.exitCode) return { verdict: 'works', detail: 'a test guest ran' }
  if (exitCode === TIMED_OUT) return { verdict: 'hangs', detail: 'a test guest hung for 5 s' }
  const detail = stderr.trim().split('\n').at(-1) ?? ''
  return { verdict: 'refused', detail: detail || `QEMU ended with ${exitCode}` }
}
