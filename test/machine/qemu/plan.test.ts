import test from 'brittle'
import { parseSize } from '../../../src/machine/state/byte-size.ts'
import { planCommandLine } from '../../../src/machine/state/command-line.ts'
import { installQemu, parseQemuVersion } from '../../../src/machine/qemu/find-qemu.ts'
import { mergeOptions, parseShare } from '../../../src/machine/lifecycle/machine-options.ts'
import { formatForward, parseForward } from '../../../src/machine/state/port-forward.ts'
import { candidates, planQemu, type MachinePlan } from '../../../src/machine/qemu/qemu-plan.ts'
import { splitNameAndCommand } from '../../../src/machine/guest/reach-machine.ts'
import { planSsh, quoteCommand } from '../../../src/machine/guest/ssh-command.ts'

const BASE: MachinePlan = {
  name: 'web',
  platform: 'linux',
  architecture: 'x64',
  accelerator: 'kvm',
  type: 'q35',
  memoryMib: 512,
  cpus: 2,
  kernel: '/i/vmlinuz',
  initrd: '/i/initrd',
  commandLine: 'console=ttyS0 host=web',
  forwards: [parseForward('12345:22')],
  shares: [],
  consoleLog: '/h/console.log',
  control: { kind: 'unix', path: '/r/qmp' }
}

/** What is the same for every machine, around what differs. */
function expected(parts: {
  machine: string
  processor: string[]
  network?: string
  devices: string[]
  consoleLog?: string
  control?: string
}): string[] {
  return [
    ...['-name', 'guest=web', '-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-machine', parts.machine, ...parts.processor, '-smp', '2', '-m', '512M'],
    ...['-kernel', '/i/vmlinuz', '-initrd', '/i/initrd', '-append', 'console=ttyS0 host=web'],
    ...['-chardev', `file,id=console,path=${parts.consoleLog ?? '/h/console.log'}`],
    ...['-serial', 'chardev:console', '-chardev'],
    `socket,id=control,${parts.control ?? 'path=/r/qmp'},server=on,wait=off`,
    ...['-mon', 'chardev=control,mode=control', '-netdev'],
    parts.network ?? 'user,id=net,hostfwd=tcp:127.0.0.1:12345-:22',
    ...parts.devices
  ]
}

const Q35 = 'q35,usb=off,vmport=off'
const PCI = ['-device', 'virtio-net-pci,netdev=net,romfile=', '-device', 'virtio-rng-pci']
const MMIO = ['-device', 'virtio-net-device,netdev=net', '-device', 'virtio-rng-device']
const KVM = ['-accel', 'kvm', '-cpu', 'host']
const HVF = ['-accel', 'hvf', '-cpu', 'host']
const TCG = ['-accel', 'tcg,thread=multi', '-cpu', 'max,erms=off']
const ARM_TCG = ['-accel', 'tcg,thread=multi', '-cpu', 'max,pauth-impdef=on']

void test('a guest is told what its kernel and initrd are', (t) => {
  const argv = planQemu({ ...BASE, kernelSha256: 'aa', initrdSha256: 'bb' })
  const told = argv.filter((_, index) => argv[index - 1] === '-fw_cfg')
  t.alike(told, [
    'name=opt/org.dat-container/kernel.sha256,string=aa',
    'name=opt/org.dat-container/initrd.sha256,string=bb'
  ])
})

void test('QEMU argument lists of each platform', (t) => {
  const table: [string, Partial<MachinePlan>, string[]][] = [
    ['Linux x64, KVM', {}, expected({ machine: Q35, processor: KVM, devices: PCI })],
    [
      'Linux x64, software',
      { accelerator: 'tcg' },
      expected({ machine: Q35, processor: TCG, devices: PCI })
    ],
    [
      'Linux x64, microvm',
      { type: 'microvm', disk: { path: '/h/data', format: 'raw' } },
      expected({
        machine: 'microvm,acpi=on,rtc=on,isa-serial=on',
        processor: KVM,
        devices: [
          ...MMIO,
          '-drive',
          'if=none,id=data,format=raw,discard=unmap,file=/h/data',
          '-device',
          'virtio-blk-device,drive=data,serial=data'
        ]
      })
    ],
    [
      'Linux arm64, KVM',
      { architecture: 'arm64', type: 'virt' },
      expected({ machine: 'virt', processor: KVM, devices: PCI })
    ],
    [
      'Linux arm64, software',
      { architecture: 'arm64', type: 'virt', accelerator: 'tcg' },
      expected({ machine: 'virt', processor: ARM_TCG, devices: PCI })
    ],
    [
      'macOS, Apple silicon',
      { platform: 'darwin', architecture: 'arm64', type: 'virt', accelerator: 'hvf' },
      expected({ machine: 'virt', processor: HVF, devices: PCI })
    ],
    [
      'macOS, Intel',
      { platform: 'darwin', accelerator: 'hvf' },
      expected({ machine: Q35, processor: HVF, devices: PCI })
    ],
    [
      'Windows',
      { platform: 'win32', accelerator: 'whpx', control: { kind: 'tcp', port: 4444 } },
      expected({
        machine: Q35,
        processor: ['-accel', 'whpx,kernel-irqchip=off', '-cpu', 'qemu64'],
        control: 'host=127.0.0.1,port=4444',
        devices: PCI
      })
    ],
    [
      'a disk, directories, ports, commas in paths',
      {
        disk: { path: '/h,x/data', format: 'qcow2' },
        diskKey: '/h,x/key',
        consoleLog: '/h,x/console.log',
        forwards: [parseForward('12345:22'), parseForward('0.0.0.0:53:5353/udp')],
        shares: [
          { source: '/a,b', tag: 'share0', readOnly: true },
          { source: '/c', tag: 'share1', readOnly: false }
        ]
      },
      expected({
        machine: Q35,
        processor: KVM,
        consoleLog: '/h,,x/console.log',
        network: 'user,id=net,hostfwd=tcp:127.0.0.1:12345-:22,hostfwd=udp:0.0.0.0:53-:5353',
        devices: [
          ...PCI,
          '-drive',
          'if=none,id=data,format=qcow2,discard=unmap,file=/h,,x/data',
          '-device',
          'virtio-blk-pci,drive=data,serial=data',
          '-fw_cfg',
          'name=opt/io.systemd.credentials/hyperos.datakey,file=/h,,x/key',
          '-fsdev',
          'local,id=share0,path=/a,,b,security_model=none,multidevs=remap,readonly=on',
          '-device',
          'virtio-9p-pci,fsdev=share0,mount_tag=share0',
          '-fsdev',
          'local,id=share1,path=/c,security_model=none,multidevs=remap',
          '-device',
          'virtio-9p-pci,fsdev=share1,mount_tag=share1'
        ]
      })
    ]
  ]
  for (const [name, change, wanted] of table) {
    t.alike(planQemu({ ...BASE, ...change }), wanted, name)
  }
})

void test('accelerators worth trying', (t) => {
  const table = [
    ['linux', 'x64', 'x64', ['kvm', 'tcg']],
    ['linux', 'arm64', 'arm64', ['kvm', 'tcg']],
    ['linux', 'arm64', 'x64', ['tcg']],
    ['darwin', 'arm64', 'arm64', ['hvf', 'tcg']],
    ['darwin', 'arm64', 'x64', ['tcg']],
    ['darwin', 'x64', 'x64', ['hvf', 'tcg']],
    ['win32', 'x64', 'x64', ['whpx', 'tcg']],
    ['win32', 'arm64', 'arm64', ['tcg']]
  ] as const
  for (const [platform, architecture, guest, wanted] of table) {
    const name = `${guest} on ${platform} ${architecture}`
    t.alike(candidates({ platform, architecture }, guest), wanted, name)
  }
})

void test('kernel command lines', (t) => {
  const options = { architecture: 'x64', name: 'web', authorizedKeys: 'ssh-ed25519 AA me' } as const
  const key = 'sshkey64=c3NoLWVkMjU1MTkgQUEgbWU='
  t.is(planCommandLine(options), `console=ttyS0 host=web ${key}`)
  t.is(
    planCommandLine({ ...options, fixedAddresses: true, append: 'quiet' }),
    `console=ttyS0 host=web ${key} norandmaps quiet`
  )
  t.is(
    planCommandLine({
      ...options,
      architecture: 'arm64',
      bootstrap: '127.0.0.1:49737,localhost:1,10.1.2.3:4',
      append: 'quiet loglevel=3'
    }),
    `console=ttyAMA0 host=web ${key} dat.bootstrap=10.0.2.2:49737,10.0.2.2:1,10.1.2.3:4 quiet loglevel=3`
  )
  t.exception(() => planCommandLine({ ...options, append: 'x'.repeat(2000) }), /too long/)
})

void test('ports, sizes, directories, words', (t) => {
  for (const text of ['127.0.0.1:8080:80', '0.0.0.0:53:5353/udp']) {
    t.is(formatForward(parseForward(text)), text)
  }
  t.is(formatForward(parseForward('8080:80')), '127.0.0.1:8080:80')
  for (const text of ['', '80', '0:80', '80:70000', '::1:80:80', 'host:80:80', '1:2/sctp']) {
    t.exception(() => parseForward(text), /not a forwarded port/, JSON.stringify(text))
  }
  const mib = 1024 ** 2
  for (const [text, wanted] of [
    ['512', 512],
    ['512M', 512],
    ['1.5g', 1536],
    ['2GiB', 2048],
    ['1T', 1024 ** 2]
  ] as const) {
    t.is(parseSize(text), wanted * mib, text)
  }
  for (const text of ['', '0', '-1', '1P', '1 2', 'M', '10K']) {
    t.exception(() => parseSize(text), /not a size/, JSON.stringify(text))
  }
  t.alike(parseShare('/srv/site'), { source: '/srv/site', target: '/mnt/site', readOnly: false })
  t.alike(parseShare('/a:/b:ro'), { source: '/a', target: '/b', readOnly: true })
  t.alike(parseShare('/a:ro'), { source: '/a', target: '/mnt/a', readOnly: true })
  t.alike(splitNameAndCommand(['web'], undefined, 'd'), { name: 'web', command: [] })
  t.alike(splitNameAndCommand(['ls', '-l'], 2, 'd'), { name: 'd', command: ['ls', '-l'] })
  t.alike(splitNameAndCommand(['web', 'ls'], 1, 'd'), { name: 'web', command: ['ls'] })
  t.alike(splitNameAndCommand(['web', 'ls'], undefined, 'd'), { name: 'web', command: ['ls'] })
  t.alike(splitNameAndCommand([], undefined, 'd'), { name: 'd', command: [] })
})

void test('what a start leaves out stays as it was', (t) => {
  const first = mergeOptions('web', { memoryBytes: 2 ** 29, forwards: ['8080:80'] }, undefined)
  t.alike(
    [first.memoryMib, first.forwards, first.accelerator],
    [512, ['127.0.0.1:8080:80'], 'auto']
  )
  const arm = mergeOptions('web', { architecture: 'arm64' }, first)
  t.is(mergeOptions('web', {}, arm).architecture, 'arm64', 'the architecture is kept')
  const second = mergeOptions('web', { diskBytes: 0, append: 'quiet' }, { ...first, sshPort: 7 })
  t.alike(second, { ...first, diskBytes: 0, append: 'quiet', sshPort: 7 })
  t.alike(mergeOptions('web', { append: '' }, second), { ...first, diskBytes: 0, sshPort: 7 })
  const kept = { keyFile: '/k', isolates: { image: 'debian', remove: true } }
  t.alike(mergeOptions('web', {}, mergeOptions('web', kept, first)), { ...first, ...kept })
  t.exception(
    () => mergeOptions('web', { kernel: '/k' }, undefined),
    /and --initrd belong together/
  )
  t.exception(() => mergeOptions('web', { cpus: 0 }, undefined), /number of processors/)
  t.exception(() => mergeOptions('web', { memoryBytes: 2 ** 20 }, undefined), /too little/)
})

void test('ssh argument lists', (t) => {
  const target = { name: 'web', port: 99, key: '/h %/key', knownHosts: '/h/known "hosts"' }
  const argv = planSsh({ ...target, command: 'ls -l', tty: 'never', noInput: true })
  t.alike(argv.slice(0, 2), ['-F', 'none'])
  t.ok(argv.includes('IdentityFile="/h %%/key"'))
  t.ok(argv.includes('UserKnownHostsFile="/h/known \\"hosts\\""'))
  t.alike(argv.slice(-7), ['-T', '-n', '-p', '99', 'root@127.0.0.1', '--', 'ls -l'])
  t.alike(planSsh(target).slice(-3), ['-p', '99', 'root@127.0.0.1'])
  t.is(quoteCommand(['echo', 'a  b', "it's", '$x', '']), `echo 'a  b' 'it'\\''s' '$x' ''`)
})

void test('how to install QEMU', (t) => {
  const table = [
    ['linux', 'x64', 'apt', 'apt-get install -y qemu-system-x86'],
    ['linux', 'x64', 'dnf', 'dnf install -y qemu-system-x86-core'],
    ['linux', 'arm64', 'pacman', 'pacman -S --noconfirm qemu-system-aarch64'],
    ['darwin', 'arm64', undefined, 'brew install qemu'],
    ['win32', 'x64', undefined, 'winget install --id SoftwareFreedomConservancy.QEMU']
  ] as const
  for (const [platform, architecture, manager, wanted] of table) {
    t.is(installQemu(platform, architecture, manager), wanted)
  }
  t.is(parseQemuVersion('QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\n'), '7.2.22')
  t.is(parseQemuVersion('QEMU emulator version 10.0.0'), '10.0.0')
  t.is(parseQemuVersion('command not found'), undefined)
})
