import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test from 'brittle'
import { execa } from 'execa'
import { generateKeys, parseSecretKey, signManifest } from '../../../os-image/sign.ts'
import { isContainerError } from '../../../src/core/errors.ts'
import { cpioOfFiles } from '../../../src/machine/netboot/cpio-entry.ts'
import { findProgram } from '../../../src/machine/qemu/find-qemu.ts'
import { sealManifest, UNSET_DIGEST } from '../../../src/machine/os-image/manifest-digest.ts'
import {
  parseDnsmasqLine,
  parseRange,
  planDnsmasq
} from '../../../src/machine/netboot/netboot-dhcp.ts'
import { netbootScript } from '../../../src/machine/netboot/netboot-script.ts'
import type { NetbootFacts } from '../../../src/machine/netboot/netboot-serve.ts'
import { LONG, Machine } from '../../e2e/sandbox.ts'

const LAN = { name: 'br0', address: '10.0.0.1', netmask: '255.255.255.0' }
const FILES = ['vmlinuz', 'initrd', 'netboot-check']
/** `machine netboot-serve` asks for an interface's address. */
const skip = findProgram('linux', 'ip') === undefined

/** A home, and an image of files that are no programs, which serving does not mind. */
class Place implements AsyncDisposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'dat-netboot-'))
  readonly image = join(this.directory, 'image')
  readonly host = new Machine(join(this.directory, 'home'), {
    DAT_CONTAINER_RUNTIME_DIR: join(this.directory, 'run'),
    DAT_CONTAINER_OS_IMAGE: this.image
  })

  constructor() {
    mkdirSync(this.host.home)
    mkdirSync(this.image)
    const files = FILES.map((name) => {
      const content = `what ${name} has`
      writeFileSync(join(this.image, name), content)
      const sha256 = createHash('sha256').update(content).digest('hex')
      return { name, bytes: content.length, sha256 }
    })
    const manifest = { format: 1, arch: 'amd64', digest: UNSET_DIGEST, files }
    const text = sealManifest(`${JSON.stringify(manifest, null, 2)}\n`)
    writeFileSync(join(this.image, 'manifest.json'), text)
  }

  /** Signs the manifest. @returns the public key */
  sign(): string {
    const { publicKey, secretKey } = generateKeys()
    const path = join(this.image, 'manifest.json')
    const signature = signManifest(parseSecretKey(secretKey), readFileSync(path, 'utf8'), 1)
    writeFileSync(`${path}.minisig`, signature)
    return publicKey.split('\n')[1] ?? ''
  }

  /** Serves on the loopback, without DHCP. */
  async serve(...args: string[]) {
    const argv = ['--json', 'machine', 'netboot-serve', '--interface', 'lo', '--no-dhcp', ...args]
    const running = this.host.start(argv, { buffer: false })
    const lines = createInterface({ input: running.stdout as NodeJS.ReadableStream })
    const all = lines[Symbol.asyncIterator]()
    const next = async (): Promise<unknown> => JSON.parse(String((await all.next()).value))
    const facts = (await next()) as NetbootFacts
    return {
      facts,
      next,
      url: (name: string): string => new URL(name, facts.url).href,
      async end(): Promise<number | undefined> {
        running.kill('SIGINT')
        return (await running).exitCode
      },
      async [Symbol.asyncDispose](): Promise<void> {
        running.kill('SIGTERM')
        await running
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true })
  }
}

void test('what was checked is served, and who took it is told', { ...LONG, skip }, async (t) => {
  await using place = new Place()
  const key = place.sign()
  await using server = await place.serve('--pubkey', key, '--host', 'alpha')
  const { facts, url } = server
  t.is(facts.dhcp, 'none')
  t.ok(facts.signed)
  // What is in the folder now is not what was checked.
  writeFileSync(join(place.image, 'vmlinuz'), 'something else')
  const kernel = await fetch(url('vmlinuz'))
  t.is(await kernel.text(), 'what vmlinuz has')
  t.is(kernel.headers.get('content-length'), '16')
  t.alike(await server.next(), {
    ...{ event: 'http', client: '127.0.0.1', file: 'vmlinuz' },
    ...{ status: 200, bytes: 16, complete: true }
  })
  const script = await (await fetch(facts.url)).text()
  t.ok(script.startsWith('#!ipxe\n'))
  const sha256 = createHash('sha256').update('what initrd has').digest('hex')
  t.ok(script.includes(`host=alpha sshkey64=`))
  t.ok(script.includes(` dat.sha256=${sha256} dat.pubkey=${key} `))
  t.absent(script.includes('imgverify'))
  const head = await fetch(url('netboot-image'), { method: 'HEAD' })
  t.ok(Number(head.headers.get('content-length')) > 15)
  t.is((await fetch(url('manifest.json'))).status, 404)
  t.is((await fetch(url('vmlinuz'), { method: 'POST', body: 'x' })).status, 405)
  const archive = join(place.directory, 'archive')
  writeFileSync(archive, Buffer.from(await (await fetch(url('netboot-image'))).arrayBuffer()))
  const { stdout } = await execa('bsdtar', ['-tf', archive])
  t.alike(stdout.split('\n').filter(Boolean), [
    'netboot',
    ...['manifest.json', 'manifest.json.minisig', 'initrd'].map((name) => `netboot/${name}`)
  ])
  t.is((await execa('bsdtar', ['-xOf', archive, 'netboot/initrd'])).stdout, 'what initrd has')
  t.is(await server.end(), 0, 'Ctrl-C')
})

void test('an image with a flipped bit is not served', { ...LONG, skip }, async (t) => {
  await using place = new Place()
  const argv = ['machine', 'netboot-serve', '--interface', 'lo', '--no-dhcp']
  for (const name of [...FILES, 'manifest.json']) {
    const path = join(place.image, name)
    const good = readFileSync(path)
    for (const at of [0, good.length - 1]) {
      const bad = Buffer.from(good)
      bad[at] = (bad[at] ?? 0) ^ 1
      writeFileSync(path, bad)
      const ran = await place.host.run(...argv)
      t.is(ran.exitCode, 5, `${name}, byte ${at}: ${ran.stderr}`)
      t.is(ran.stdout, '')
    }
    writeFileSync(path, good)
  }
  const [, other = ''] = generateKeys().publicKey.split('\n')
  t.is((await place.host.run(...argv, '--pubkey', other)).exitCode, 5, 'not signed')
  place.sign()
  t.is((await place.host.run(...argv, '--pubkey', other)).exitCode, 5, 'signed by another')
})

void test('signatures for imgverify are OpenSSL’s CMS', { ...LONG, skip }, async (t) => {
  await using place = new Place()
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(place.directory, name))
  const subject = ['-subj', '/CN=code', '-addext', 'extendedKeyUsage=codeSigning']
  await execa('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key!, '-out', cert!, ...subject]
  ])
  const chain = join(place.directory, 'chain.pem')
  await execa('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=above', '-out', chain],
    ...['-keyout', join(place.directory, 'above.pem')]
  ])
  await using server = await place.serve(
    '--sign-key',
    key!,
    '--sign-cert',
    cert!,
    '--sign-chain',
    chain
  )
  const script = await (await fetch(server.facts.url)).text()
  for (const name of ['vmlinuz', 'netboot-check', 'netboot-image']) {
    t.ok(script.includes(`imgverify ${name} ${name}.sig || goto failed`))
    const [content, signature] = [name, `${name}.sig`].map((each) => join(place.directory, each))
    for (const [from, to] of [
      [name, content!],
      [`${name}.sig`, signature!]
    ] as const) {
      writeFileSync(to, Buffer.from(await (await fetch(server.url(from))).arrayBuffer()))
    }
    const check = ['cms', '-verify', '-inform', 'DER', '-binary', '-in', signature!]
    const argv = [...check, '-content', content!, '-CAfile', cert!, '-purpose', 'any']
    t.is((await execa('openssl', [...argv, '-out', '/dev/null'], { reject: false })).exitCode, 0)
    writeFileSync(content!, 'something else')
    t.not((await execa('openssl', [...argv, '-out', '/dev/null'], { reject: false })).exitCode, 0)
  }
})

void test('what cannot be served is said in a line', { ...LONG, skip }, async (t) => {
  await using place = new Place()
  const table: [string, number, string[]][] = [
    ['give one of --range, --proxy and --no-dhcp', 2, ['--interface', 'lo']],
    ['give one of', 2, ['--interface', 'lo', '--proxy', '--no-dhcp']],
    ['no network interface nothere', 3, ['--interface', 'nothere', '--no-dhcp']],
    ['--sign-cert belong together', 2, ['--interface', 'lo', '--no-dhcp', '--sign-key', 'x']],
    ['not a host name', 2, ['--interface', 'lo', '--no-dhcp', '--host', 'a b']],
    ['would not pass this on', 2, ['--interface', 'lo', '--no-dhcp', '--append', 'a || b']],
    ['cannot be read (ENOENT)', 3, ['--interface', 'lo', '--no-dhcp', '--ssh-key', '/nothere']],
    ['no public ssh key', 2, ['--interface', 'lo', '--no-dhcp', '--ssh-key', '/etc/passwd']],
    ['required option', 2, ['--no-dhcp']]
  ]
  for (const [message, exitCode, args] of table) {
    const ran = await place.host.run('machine', 'netboot-serve', ...args)
    t.is(ran.exitCode, exitCode, ran.stderr)
    t.ok(ran.stderr.includes(message), ran.stderr)
  }
  await using server = await place.serve()
  const port = new URL(server.facts.url).port
  const argv = ['--interface', 'lo', '--no-dhcp', '--http-port', port]
  const ran = await place.host.run('machine', 'netboot-serve', ...argv)
  t.is(ran.exitCode, 1)
  t.ok(ran.stderr.includes(`port ${port} of 127.0.0.1 is taken`), ran.stderr)
})

void test('what dnsmasq is told', (t) => {
  const scriptUrl = 'http://10.0.0.1:8000/boot.ipxe'
  const loaders = { folder: '/usr/lib/ipxe', bios: 'undionly.kpxe', efi: 'snponly.efi' }
  const range = { first: '10.0.0.5', last: '10.0.0.9' }
  const own = planDnsmasq({ interface: LAN, range, scriptUrl, loaders })
  t.ok(own.includes('--dhcp-range=10.0.0.5,10.0.0.9,255.255.255.0,1h'))
  t.ok(own.includes(`--dhcp-boot=tag:ipxe,${scriptUrl}`))
  t.ok(own.includes('--dhcp-boot=tag:!ipxe,tag:bios,undionly.kpxe'))
  t.ok(own.includes('--dhcp-match=set:efi,option:client-arch,7'))
  t.ok(own.includes('--tftp-root=/usr/lib/ipxe'))
  const beside = planDnsmasq({ interface: LAN, scriptUrl, loaders })
  t.ok(beside.includes('--dhcp-range=10.0.0.1,proxy,255.255.255.0'))
  t.ok(beside.includes('--pxe-service=tag:!ipxe,X86-64_EFI,HyperOS,snponly.efi'))
  t.absent(beside.some((each) => each.startsWith('--dhcp-boot=tag:!ipxe')))
  const bare = planDnsmasq({ interface: LAN, range, scriptUrl, loaders: {} })
  t.absent(bare.some((each) => each.includes('tftp')))
})

void test('what dnsmasq tells', (t) => {
  const mac = '52:54:00:12:34:56'
  const table: [string, unknown][] = [
    [
      `dnsmasq-dhcp[7]: DHCPACK(br0) 10.0.0.5 ${mac} alpha`,
      { event: 'lease', client: '10.0.0.5', mac, host: 'alpha' }
    ],
    [`dnsmasq-dhcp[7]: DHCPACK(br0) 10.0.0.5 ${mac} `, { event: 'lease', client: '10.0.0.5', mac }],
    [
      'dnsmasq-tftp[7]: sent /usr/lib/ipxe/snponly.efi to 10.0.0.5',
      { event: 'tftp', client: '10.0.0.5', file: 'snponly.efi' }
    ],
    [`dnsmasq-dhcp[7]: DHCPDISCOVER(br0) ${mac}`, undefined],
    ['', undefined]
  ]
  for (const [line, event] of table) t.alike(parseDnsmasqLine(line), event)
})

void test('ranges of addresses', (t) => {
  t.alike(parseRange('10.0.0.5,10.0.0.9', LAN), { first: '10.0.0.5', last: '10.0.0.9' })
  const high = { ...LAN, address: '192.168.1.1' }
  t.is(parseRange('192.168.1.5, 192.168.1.200', high).last, '192.168.1.200')
  for (const text of ['', '10.0.0.5', '10.0.0.9,10.0.0.5', '10.0.1.5,10.0.1.9', 'a,b', '1,2,3']) {
    t.ok(
      refusesUsage(() => parseRange(text, LAN)),
      text
    )
  }
})

void test('words that iPXE would take for its own are refused', (t) => {
  for (const word of ['||', '&&', ';', '#x', '${net0/mac}', 'a\nb']) {
    const commandLine = `console=ttyS0 ${word} quiet`
    t.ok(
      refusesUsage(() => netbootScript({ commandLine, signed: false })),
      word
    )
  }
  t.ok(netbootScript({ commandLine: 'a="b c" d=#e', signed: true }).includes('imgverify vmlinuz'))
})

void test('archives of files', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'dat-netboot-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const files = new Map(
    ['', 'a', 'ab', 'abc', 'abcd'].map((text) => [`f${text}`, Buffer.from(text)])
  )
  const archive = cpioOfFiles('folder', files)
  t.is(archive.length % 4, 0)
  const path = join(directory, 'archive')
  writeFileSync(path, archive)
  await execa('bsdtar', ['-xf', path, '-C', directory])
  for (const [name, content] of files)
    t.alike(readFileSync(join(directory, 'folder', name)), content)
})

function refusesUsage(call: () => unknown): boolean {
  try {
    call()
    return false
  } catch (error) {
    return isContainerError(error, 'USAGE')
  }
}
