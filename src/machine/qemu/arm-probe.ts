import type { ProbeGuest } from '../../core/host/kvm-probe.ts'
import { qemuProgram } from './qemu-plan.ts'

/** AArch64 instructions; addresses are those of QEMU's `virt` machine. */
const CODE = [
  0xd53be040, // mrs x0, cntvct_el0
  0xd53be001, // mrs x1, cntfrq_el0
  0x8b410c01, // add x1, x0, x1, lsr #3: an eighth of a second later
  0xd53be040, // wait: mrs x0, cntvct_el0
  0xeb01001f, // cmp x0, x1
  0x54ffffc3, // b.lo wait
  0x52800100, // mov w0, #0x0008
  0x72b08000, // movk w0, #0x8400, lsl #16: SYSTEM_OFF of PSCI
  0xd4000002, // hvc #0
  0x14000000 // b .
]

/**
 * Makes a kernel for QEMU's arm64 machine that waits until the processor's clock has run for 1/8 s and then
 * switches the machine off.
 */
export function switchingOffKernel(): Uint8Array {
  const image = Buffer.alloc(CODE.length * 4)
  CODE.forEach((instruction, index) => image.writeUInt32LE(instruction, index * 4))
  return image
}

/** Plans the QEMU that runs {@link switchingOffKernel}. */
export function armGuest(processor: readonly string[], program = qemuProgram('arm64')): ProbeGuest {
  const argv = [
    ...processor,
    '-machine',
    'virt',
    '-m',
    '128',
    '-display',
    'none',
    '-nodefaults',
    '-no-user-config',
    '-no-reboot',
    '-kernel',
    'boot.img'
  ]
  return { program, image: switchingOffKernel(), argv, exitCode: 0 }
}
