import { TOLD_INITRD, TOLD_KERNEL } from '../../attest/attest-record.ts'
import type {
  Accelerator,
  Architecture,
  ControlPlace,
  MachineType,
  Platform
} from '../state/machine-types.ts'
import type { PortForward } from '../state/port-forward.ts'

/** A disk of the guest, which finds it by its serial number `data`. */
export interface DataDisk {
  readonly path: string
  readonly format: 'qcow2' | 'raw'
}

/** A directory of this machine that the guest can mount by its tag. */
export interface SharedDirectory {
  readonly source: string
  readonly tag: string
  readonly readOnly: boolean
}

/** One virtual machine, all decided. Paths are absolute and of this machine. */
export interface MachinePlan {
  readonly name: string
  readonly platform: Platform
  readonly architecture: Architecture
  readonly accelerator: Accelerator
  readonly type: MachineType
  readonly memoryMib: number
  readonly cpus: number
  readonly kernel: string
  readonly initrd: string
  /** SHA-256 of both, which the guest is told; nothing is told where they are not known. */
  readonly kernelSha256?: string
  readonly initrdSha256?: string
  /** The kernel's command line. */
  readonly commandLine: string
  readonly disk?: DataDisk
  /** Path of the key that the disk is encrypted by: QEMU reads it and hands it to the guest. */
  readonly diskKey?: string
  /** Forwarded ports, the one for ssh among them. */
  readonly forwards: readonly PortForward[]
  readonly shares: readonly SharedDirectory[]
  readonly consoleLog: string
  readonly control: ControlPlace
  /** A firmware image to use instead of QEMU's own. */
  readonly firmware?: string
  /** QEMU gives up the system calls that it does not need, see {@link SANDBOX}. */
  readonly sandboxed?: boolean
  /** A descriptor that listens at `control`, which QEMU inherits. @default it listens there itself */
  readonly controlDescriptor?: number
  /** The guest does not run before it is told to. */
  readonly paused?: boolean
}

/** QEMU's filter of system calls: it starts no program, and raises no privilege. */
export const SANDBOX = [
  '-sandbox',
  'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'
] as const

/** Names the QEMU program for guests of an architecture, without `.exe`. */
export function qemuProgram(architecture: Architecture): string {
  return architecture === 'x64' ? 'qemu-system-x86_64' : 'qemu-system-aarch64'
}

/** Lists the accelerators to try for a guest on a host, best first; `tcg` always works. */
export function candidates(
  host: { platform: Platform; architecture: Architecture },
  guest: Architecture
): Accelerator[] {
  const native = { linux: 'kvm', darwin: 'hvf', win32: 'whpx' } as const
  // A processor runs guests of its own architecture alone; WHPX for arm64 is younger than our oldest QEMU.
  if (host.architecture !== guest) return ['tcg']
  if (host.platform === 'win32' && guest === 'arm64') return ['tcg']
  return [native[host.platform], 'tcg']
}

/** Plans the arguments `-accel` and `-cpu` for guests of an architecture. */
export function processorArguments(
  accelerator: Accelerator,
  guest: Architecture
): readonly string[] {
  if (accelerator === 'tcg' && guest === 'arm64') return SOFTWARE_ARM
  return PROCESSORS[accelerator]
}

/**
 * All that QEMU emulates, but for ERMS: with it the guest copies and clears memory by instructions that go byte by
 * byte, which is fast on hardware and slow in software.
 */
export const SOFTWARE_CPU = 'max,erms=off'

const PROCESSORS: Readonly<Record<Accelerator, readonly string[]>> = {
  kvm: ['-accel', 'kvm', '-cpu', 'host'],
  hvf: ['-accel', 'hvf', '-cpu', 'host'],
  // WHPX knows no `host`, and its own interrupt controller loses interrupts of virtio devices.
  whpx: ['-accel', 'whpx,kernel-irqchip=off', '-cpu', 'qemu64'],
  tcg: ['-accel', 'tcg,thread=multi', '-cpu', SOFTWARE_CPU]
}

/**
 * Pointers are signed with a cipher of QEMU's own: in software the architecture's costs more than all
 * else that the guest does.
 */
const SOFTWARE_ARM = ['-accel', 'tcg,thread=multi', '-cpu', 'max,pauth-impdef=on']

/** Plans QEMU's argument list, without the program; pure. */
export function planQemu(plan: MachinePlan): string[] {
  const device = (kind: string, properties: string): string[] => [
    '-device',
    `${kind}-${plan.type === 'microvm' ? 'device' : 'pci'}${properties}`
  ]
  // No option ROM: nothing boots from the network, and reading it takes time.
  const network = plan.type === 'microvm' ? ',netdev=net' : ',netdev=net,romfile='
  return [
    '-name',
    `guest=${plan.name}`,
    ...(plan.sandboxed === true ? SANDBOX : []),
    ...(plan.paused === true ? ['-S'] : []),
    '-nodefaults',
    '-no-user-config',
    '-display',
    'none',
    '-machine',
    MACHINE_ARGUMENTS[plan.type],
    ...processorArguments(plan.accelerator, plan.architecture),
    '-smp',
    String(plan.cpus),
    '-m',
    `${plan.memoryMib}M`,
    ...(plan.firmware === undefined ? [] : ['-bios', plan.firmware]),
    '-kernel',
    plan.kernel,
    '-initrd',
    plan.initrd,
    '-append',
    plan.commandLine,
    ...told(TOLD_KERNEL, plan.kernelSha256),
    ...told(TOLD_INITRD, plan.initrdSha256),
    '-chardev',
    `file,id=console,path=${escaped(plan.consoleLog)}`,
    '-serial',
    'chardev:console',
    '-chardev',
    controlSocket(plan.control, plan.controlDescriptor),
    '-mon',
    'chardev=control,mode=control',
    '-netdev',
    ['user,id=net', ...plan.forwards.map(forwardOption)].join(','),
    ...device('virtio-net', network),
    ...device('virtio-rng', ''),
    ...(plan.disk === undefined ? [] : [...drive(plan.disk), ...device('virtio-blk', DISK)]),
    ...(plan.diskKey === undefined
      ? []
      : ['-fw_cfg', `name=${KEY_CREDENTIAL},file=${escaped(plan.diskKey)}`]),
    ...plan.shares.flatMap((share, index) => [
      '-fsdev',
      sharedDirectory(share, index),
      ...device('virtio-9p', `,fsdev=share${index},mount_tag=${escaped(share.tag)}`)
    ])
  ]
}

const MACHINE_ARGUMENTS: Readonly<Record<MachineType, string>> = {
  q35: 'q35,usb=off,vmport=off',
  microvm: 'microvm,acpi=on,rtc=on,isa-serial=on',
  virt: 'virt'
}
/** A credential of systemd(1), by fw_cfg. */
const KEY_CREDENTIAL = 'opt/io.systemd.credentials/hyperos.datakey'
const DISK = ',drive=data,serial=data'

/** A line that the guest reads from QEMU's firmware configuration. */
function told(name: string, line: string | undefined): string[] {
  return line === undefined ? [] : ['-fw_cfg', `name=${name},string=${line}`]
}

function drive({ path, format }: DataDisk): string[] {
  return ['-drive', `if=none,id=data,format=${format},discard=unmap,file=${escaped(path)}`]
}

function sharedDirectory({ source, readOnly }: SharedDirectory, index: number): string {
  // Files that the guest creates belong to the user who runs QEMU, which needs no privilege.
  const model = 'security_model=none,multidevs=remap'
  const access = readOnly ? ',readonly=on' : ''
  return `local,id=share${index},path=${escaped(source)},${model}${access}`
}

function controlSocket(place: ControlPlace, descriptor: number | undefined): string {
  if (descriptor !== undefined) return `socket,id=control,fd=${descriptor},server=on,wait=off`
  const where =
    place.kind === 'unix' ? `path=${escaped(place.path)}` : `host=127.0.0.1,port=${place.port}`
  return `socket,id=control,${where},server=on,wait=off`
}

function forwardOption({ protocol, address, hostPort, guestPort }: PortForward): string {
  return `hostfwd=${protocol}:${address}:${hostPort}-:${guestPort}`
}

/** A value in one of QEMU's lists of options, where a comma ends it. */
function escaped(value: string): string {
  return value.replaceAll(',', ',,')
}
