import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { execa } from 'execa'
import { FIXED_ADDRESSES } from '../../src/machine/state/command-line.ts'
import { generateKeys, parseSecretKey, signManifest } from '../../os-image/sign.ts'
import type { NetbootEvent, NetbootFacts } from '../../src/machine/netboot/netboot-serve.ts'
import { leftAfter, snapshot } from '../boot/leftovers.ts'
import { Machine } from '../e2e/sandbox.ts'
import { IMAGE } from './guest.ts'
import { cannotNetboot, daemon, eventually, NetbootLan } from './netboot-lan.ts'
import { SMALL_INITRD_RUNS, writeSmallNetboot } from './small-netboot.ts'

const HTTP = fileURLToPath(new URL('./http-main.js', import.meta.url))
const UEFI = ['/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd']
const CHECKED = 'netboot: the initrd is what it should be'
const reason = await cannotNetboot()
const options = { timeout: 15 * 60_000, skip: reason !== undefined }
const titled = (title: string): string => (reason === undefined ? title : `${title} (${reason})`)

/** A folder, a network, and an image whose manifest is signed: the one that is built, or a small one. */
async function place(kind: 'built' | 'small') {
  const directory = mkdtempSync(join(tmpdir(), 'dat-netboot-'))
  const lan = await NetbootLan.open()
  const image = join(directory, 'image')
  if (kind === 'built') cpSync(IMAGE, image, { recursive: true })
  else writeSmallNetboot(image)
  const { publicKey, secretKey } = generateKeys()
  const manifest = join(image, 'manifest.json')
  const signature = signManifest(parseSecretKey(secretKey), readFileSync(manifest, 'utf8'), 1)
  writeFileSync(`${manifest}.minisig`, signature)
  mkdirSync(join(directory, 'home'))
  const environment = {
    DAT_CONTAINER_OS_IMAGE: image,
    DAT_CONTAINER_RUNTIME_DIR: join(directory, 'run')
  }
  const host = new Machine(join(directory, 'home'), environment, lan.server)
  return {
    ...{ directory, lan, image, host, key: publicKey.split('\n')[1] ?? '' },
    async [Symbol.asyncDispose](): Promise<void> {
      await lan[Symbol.asyncDispose]()
      await rm(directory, { recursive: true })
    }
  }
}

type Place = Awaited<ReturnType<typeof place>>

/** `machine netboot-serve` as it runs, and what it says. */
async function serve({ directory, lan, image }: Place, ...args: string[]) {
  const environment = [
    `DAT_CONTAINER_HOME=${join(directory, 'home')}`,
    `DAT_CONTAINER_RUNTIME_DIR=${join(directory, 'run')}`
  ]
  const [program, argv] = new Machine('', {}).argv('machine', 'netboot-serve', image, '--json')
  const on = ['--interface', lan.serverInterface, ...args]
  const running = await daemon([...lan.server, 'env', ...environment, program, ...argv, ...on])
  const [first = ''] = running.lines
  const facts = JSON.parse(first) as NetbootFacts
  const events = (): NetbootEvent[] => running.lines.slice(1).map((line) => JSON.parse(line))
  return { running, facts, events, [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]() }
}

void test(titled('a machine starts from the network and lets in by key'), options, async (t) => {
  await using here = await place('built')
  const before = snapshot()
  const keyFile = join(here.directory, 'key')
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile])
  const { lan, key } = here
  {
    await using server = await serve(
      here,
      ...['--range', '10.91.40.100,10.91.40.109', '--pubkey', key],
      ...[
        '--ssh-key',
        `${keyFile}.pub`,
        '--host',
        'alpha',
        '--append',
        `${FIXED_ADDRESSES} dat.test="two words"`
      ]
    )
    t.ok(server.facts.signed)
    await using machine = lan.machine(join(here.directory, 'serial'))
    await machine.says(`${CHECKED}, SHA-256 ${server.facts.sha256}`)
    const fetched = server.events().flatMap((each) => (each.event === 'http' ? [each.file] : []))
    t.alike(fetched, ['boot.ipxe', 'vmlinuz', 'netboot-check', 'netboot-image'])
    const own = await eventually(async () =>
      server.events().find((each) => each.event === 'lease' && each.host === 'alpha')
    )
    const known = ['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null']
    const options = [...known, '-o', 'LogLevel=ERROR', '-o', 'ConnectTimeout=10', '-i', keyFile]
    const command = 'hostname; systemctl is-system-running --wait; cat /proc/cmdline'
    const [program = '', ...prefix] = lan.server
    const said = await eventually(async () => {
      const argv = [...prefix, 'ssh', ...options, `root@${own.client}`, command]
      const { exitCode, stdout } = await execa(program, argv, { reject: false, stdin: 'ignore' })
      return exitCode === 0 ? stdout.split('\n') : undefined
    })
    t.is(said[0], 'alpha')
    t.is(said[1], 'running')
    t.ok(said[2]?.includes(`dat.test="two words" dat.sha256=${server.facts.sha256}`))
    t.ok(said[2]?.includes(`dat.pubkey=${key}`))
    t.is(await server.running.interrupt(), 0, 'Ctrl-C ends it')
  }
  t.alike(await leftAfter(before, here.directory), [], 'nothing is left')
})

void test(titled('flipped bits are refused before anything is served'), options, async (t) => {
  await using here = await place('built')
  const { image, host, lan, key } = here
  const argv = ['machine', 'netboot-serve', '--interface', lan.serverInterface, '--no-dhcp']
  for (const name of ['vmlinuz', 'initrd', 'netboot-check', 'boot.ipxe', 'manifest.json']) {
    const path = join(image, name)
    const good = readFileSync(path)
    const bad = Buffer.from(good)
    const at = Math.floor(good.length / 2)
    bad[at] = (bad[at] ?? 0) ^ 1
    writeFileSync(path, bad)
    const ran = await host.run(...argv)
    t.is(ran.exitCode, 5, `${name}: ${ran.stderr}`)
    t.is(ran.stdout, '')
    writeFileSync(path, good)
  }
  const [, other = ''] = generateKeys().publicKey.split('\n')
  t.not(other, key)
  t.is((await host.run(...argv, '--pubkey', other)).exitCode, 5, 'signed by another')
})

void test(titled('what is changed on its way is refused by the machine'), options, async (t) => {
  await using here = await place('small')
  const { directory, lan, key } = here
  await using server = await serve(here, '--no-dhcp', '--pubkey', key)
  const { url, files } = server.facts
  const bytes = files.find(({ name }) => name === 'netboot-image')?.bytes ?? 0
  const middle = String(Math.floor(bytes / 2))
  const between = [...lan.server, process.execPath, HTTP, lan.serverAddress]
  await using proxy = await daemon([...between, url, 'netboot-image', middle])
  await using dhcp = await lan.dhcp(`${proxy.lines[0]}boot.ipxe`)
  await using machine = lan.machine(join(directory, 'serial'))
  await machine.says('netboot: refused: the initrd has the SHA-256 ')
  t.ok(await machine.isOff(), 'it restarts, and does not start what came')
  t.absent(machine.said().includes(SMALL_INITRD_RUNS))
  t.ok(dhcp.lines.length > 0)
})

void test(titled('any HTTP server will do for the folder of an image'), options, async (t) => {
  await using here = await place('small')
  const { directory, lan, image, key } = here
  writeFileSync(
    join(image, 'lab.ipxe'),
    `#!ipxe\nset pubkey ${key}\nset append host=gamma\nchain boot.ipxe\n`
  )
  await using plain = await daemon([
    ...[...lan.server, process.execPath, HTTP],
    ...[lan.serverAddress, image]
  ])
  await using dhcp = await lan.dhcp(`${plain.lines[0]}lab.ipxe`)
  {
    await using machine = lan.machine(join(directory, 'good'))
    await machine.says(SMALL_INITRD_RUNS)
    t.ok(machine.said().includes(CHECKED))
    t.ok(machine.said().includes(`dat.pubkey=${key} host=gamma`))
  }
  const path = join(image, 'initrd')
  const bad = readFileSync(path)
  const middle = Math.floor(bad.length / 2)
  bad[middle] = (bad[middle] ?? 0) ^ 1
  writeFileSync(path, bad)
  await using machine = lan.machine(join(directory, 'bad'))
  await machine.says('netboot: refused: the initrd has the SHA-256 ')
  t.ok(dhcp.lines.length > 0)
})

const noUefi = await cannotNetboot(...UEFI, '/usr/lib/ipxe/snponly.efi')
void test(
  noUefi === undefined ? 'UEFI, beside another DHCP server' : `UEFI (${noUefi})`,
  { ...options, skip: noUefi !== undefined },
  async (t) => {
    await using here = await place('small')
    const { directory, lan } = here
    await using server = await serve(here, '--proxy')
    await using other = await lan.otherDhcp()
    const variables = join(directory, 'variables')
    cpSync(UEFI[1] ?? '', variables)
    await using machine = lan.machine(
      join(directory, 'serial'),
      ...['-drive', `if=pflash,format=raw,readonly=on,file=${UEFI[0]}`],
      ...['-drive', `if=pflash,format=raw,file=${variables}`],
      // Without QEMU's own iPXE: this firmware is another one.
      ...['-device', 'virtio-net-pci,netdev=net,bootindex=1,romfile=']
    )
    await machine.says(SMALL_INITRD_RUNS)
    t.ok(machine.said().includes(CHECKED))
    const files = server.events().flatMap((each) => (each.event === 'lease' ? [] : [each.file]))
    t.ok(files.includes('snponly.efi'), 'iPXE came by TFTP')
    t.ok(files.includes('netboot-image'))
    t.ok(other.lines.some((line) => line.includes('DHCPACK')))
  }
)
