import { InvalidArgumentError, type Command } from 'commander'
import { BOOTSTRAP_VARIABLE } from '../../../rpc/bootstrap.ts'
import { ContainerError } from '../../../core/errors.ts'
import type {
  NetbootEvent,
  NetbootFacts,
  NetbootRequest
} from '../../../machine/netboot/netboot-serve.ts'
import { collect } from '../../parse/arguments.ts'
import { readGlobals, type Globals } from '../../parse/globals.ts'
import { interruptible } from '../../print/interrupt.ts'
import { printable } from '../../print/output.ts'
import { PUBLIC_KEY_VARIABLE } from './machine-start.ts'

interface NetbootFlags {
  readonly interface: string
  readonly range?: string
  readonly proxy?: boolean
  readonly dhcp: boolean
  readonly httpPort: number
  readonly pubkey?: string
  readonly signKey?: string
  readonly signCert?: string
  readonly signChain?: string
  readonly sshKey?: string[]
  readonly host?: string
  readonly append?: string
}

/** `machine netboot-serve`. */
export function addMachineNetboot(machine: Command): void {
  machine
    .command('netboot-serve')
    .description('boot HyperOS on machines of a network: serve DHCP, TFTP and HTTP until Ctrl-C')
    .argument('[folder]', 'image to serve (default: the one that `machine start` uses)')
    .requiredOption('--interface <name>', 'serve only on this interface')
    .option('--range <first,last>', 'be the DHCP server, and assign these addresses')
    .option('--proxy', 'add boot information to the answers of another DHCP server')
    .option('--no-dhcp', 'serve only HTTP; another DHCP server must name the script')
    .option('--http-port <port>', 'HTTP port; 0 for any free port', portNumber, 0)
    .option('--pubkey <key>', 'require a signature of the image by this minisign key, or key file')
    .option('--sign-key <file>', 'sign what iPXE loads with this key, for its imgverify')
    .option('--sign-cert <file>', 'the code-signing certificate that goes with --sign-key')
    .option('--sign-chain <file>', 'certificates between that one and the root')
    .option(
      '--ssh-key <file>',
      'public key that may log in as root (repeatable; default: the key of the home)',
      collect
    )
    .option('--host <name>', 'host name for the machines')
    .option('--append <words>', 'append this to the kernel command line')
    .addHelpText(
      'after',
      '\nThe image is checked before anything is served, and only checked bytes are served. The machine that\n' +
        'boots checks the initrd again. With --json: one line for what is served, then one per event.\n' +
        '\nExamples:\n' +
        '  dat-container machine netboot-serve --interface br0 --range 10.0.0.100,10.0.0.199\n' +
        '  dat-container machine netboot-serve --interface eth0 --proxy --pubkey key.pub --host lab'
    )
    .action(async (folder: string | undefined, flags: NetbootFlags, command: Command) => {
      await serve(folder, flags, readGlobals(command))
    })
}

async function serve(
  folder: string | undefined,
  flags: NetbootFlags,
  { home, output }: Globals
): Promise<void> {
  const request = readRequest(flags)
  const { NetbootServer } = await import('../../../machine/netboot/netboot-serve.ts')
  await interruptible(async (signal) => {
    const say = (value: object, lines: readonly string[]): void => {
      const text = output.json ? [JSON.stringify(value)] : lines
      process.stdout.write(text.map((line) => `${line}\n`).join(''))
    }
    await using server = await NetbootServer.open({
      ...request,
      home,
      image: folder,
      onNotice: (line) => output.note(`note: ${printable(line)}`),
      onEvent: (event) => say(event, [describeEvent(event)])
    })
    say({ event: 'serving', ...server.facts }, describe(server.facts))
    const interrupted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      signal.addEventListener('abort', () => resolve())
    })
    await Promise.race([interrupted, server.failed])
  })
}

function readRequest(
  flags: NetbootFlags
): Omit<NetbootRequest, 'home' | 'image' | 'onNotice' | 'onEvent'> {
  const { range, proxy = false, dhcp, signKey, signCert } = flags
  if ([range !== undefined, proxy, !dhcp].filter(Boolean).length !== 1) {
    throw new ContainerError('USAGE', 'give one of --range, --proxy and --no-dhcp', {
      hint: 'use --range where there is no DHCP server, and --proxy where there is one'
    })
  }
  if ((signKey === undefined) !== (signCert === undefined)) {
    throw new ContainerError('USAGE', '--sign-key and --sign-cert belong together', {
      hint: 'give both --sign-key and --sign-cert, or neither'
    })
  }
  return {
    interface: flags.interface,
    dhcp: range === undefined ? (proxy ? 'proxy' : 'none') : { range },
    httpPort: flags.httpPort,
    publicKey: flags.pubkey ?? (process.env[PUBLIC_KEY_VARIABLE] || undefined),
    signer:
      signKey === undefined || signCert === undefined
        ? undefined
        : { key: signKey, certificate: signCert, chain: flags.signChain },
    sshKeys: flags.sshKey,
    host: flags.host,
    append: flags.append,
    bootstrap: process.env[BOOTSTRAP_VARIABLE] || undefined
  }
}

function describe(facts: NetbootFacts): string[] {
  const { dhcp, files, image, sha256, signed, url } = facts
  const addresses =
    dhcp === 'proxy'
      ? 'in addition to the existing DHCP server'
      : dhcp === 'none'
        ? 'without DHCP: have the existing DHCP server name the script'
        : `giving ${dhcp.first} to ${dhcp.last}`
  return [
    `serving ${image} on ${facts.interface}, ${addresses}`,
    `the initrd's SHA-256: ${sha256}${signed ? '; its manifest is signed by the key' : ''}`,
    ...files.map(({ name, bytes }) => `  ${name}, ${bytes} bytes`),
    `script: ${url}`
  ]
}

function describeEvent(event: NetbootEvent): string {
  return printable(`${event.client}: ${describeDeed(event)}`)
}

function describeDeed(event: NetbootEvent): string {
  if (event.event === 'lease') return `given to ${event.mac} ${event.host ?? ''}`.trimEnd()
  if (event.event === 'tftp') return `took ${event.file} (TFTP)`
  const { file, status, bytes, complete } = event
  if (!complete) return `took a part of ${file} and went`
  return status === 200 ? `took ${file}, ${bytes} bytes` : `asked for ${file}: ${status}`
}

function portNumber(text: string): number {
  const port = Number(text)
  if (/^\d+$/.test(text) && port <= 65_535) return port
  throw new InvalidArgumentError('give a number up to 65535.')
}
