import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { requireRoot } from '../../core/host/require-root.ts'
import { CleanupStack } from '../../core/cleanup-stack.ts'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { planCommandLine } from '../state/command-line.ts'
import { machineHome } from '../state/machine-paths.ts'
import { signCms, type CodeSigner } from './netboot-cms.ts'
import { parseRange, type AddressRange, type DhcpEvent, type Loaders } from './netboot-dhcp.ts'
import { Dnsmasq } from './netboot-dnsmasq.ts'
import { FileServer, type HttpEvent } from './netboot-http.ts'
import { findInterface } from './netboot-interface.ts'
import { readNetbootImage, type NetbootImage } from './netboot-image.ts'
import {
  CMS_SUFFIX,
  NETBOOT_CHECK,
  NETBOOT_IMAGE,
  NETBOOT_SCRIPT,
  netbootScript,
  netbootWords
} from './netboot-script.ts'
import { findImage } from '../os-image/os-image.ts'
import { KERNEL } from '../os-image/os-manifest.ts'
import { homeSshKey } from '../guest/ssh-key.ts'

export interface NetbootRequest {
  readonly home: string
  /** Folder of the image; what a machine's start would take when left out. */
  readonly image?: string | undefined
  readonly interface: string
  /**
   * Which DHCP server tells machines what to start: this command, which gives addresses of a range (`FIRST,LAST`); this
   * command, beside a DHCP server that gives addresses; or nobody.
   */
  readonly dhcp: { readonly range: string } | 'proxy' | 'none'
  /** HTTP port; 0 for any free port. */
  readonly httpPort: number
  /** A minisign key that the image's manifest must be signed by. */
  readonly publicKey?: string | undefined
  /** Signs what iPXE loads, for its `imgverify`. */
  readonly signer?: CodeSigner | undefined
  /** Files of public keys that may log in as root; the home's own key when there are none. */
  readonly sshKeys?: readonly string[] | undefined
  /** Host name of every machine that starts. */
  readonly host?: string | undefined
  readonly append?: string | undefined
  /** Nodes of a private DHT for the machines' daemons, `host:port,…`. */
  readonly bootstrap?: string | undefined
  readonly onNotice: (line: string) => void
  readonly onEvent: (event: NetbootEvent) => void
}

/** An event: something that a client received. */
export type NetbootEvent = DhcpEvent | HttpEvent

/** Facts about what is served, and where. */
export interface NetbootFacts {
  readonly interface: string
  readonly address: string
  readonly dhcp: AddressRange | 'proxy' | 'none'
  /** Address of the script that starts it all. */
  readonly url: string
  readonly files: readonly { readonly name: string; readonly bytes: number }[]
  readonly image: string
  /** SHA-256 of the initrd, hexadecimal. */
  readonly sha256: string
  /** Whether the manifest's signature was checked, here and by the machines that start. */
  readonly signed: boolean
  readonly commandLine: string
}

const HOST_PATTERN = /^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$/
/** Paths of iPXE in distributions, for machines with another firmware. */
const LOADER_FOLDERS = ['/usr/lib/ipxe', '/usr/share/ipxe', '/usr/share/ipxe/x86_64']
const LOADER_NAMES = {
  bios: ['undionly.kpxe'],
  efi: ['snponly.efi', 'ipxe-snponly-x86_64.efi', 'ipxe.efi']
}

/** An image served to machines that start from a network. Disposing ends all of it. */
export class NetbootServer implements AsyncDisposable {
  readonly facts: NetbootFacts
  /** Rejects when serving fails; never resolves. */
  readonly failed: Promise<never>
  readonly #cleanup: CleanupStack

  private constructor(facts: NetbootFacts, failed: Promise<never>, cleanup: CleanupStack) {
    this.facts = facts
    this.failed = failed
    this.#cleanup = cleanup
  }

  /**
   * Checks the image, and serves the very bytes that were checked.
   *
   * @throws ContainerError `NEEDS_ROOT`, `USAGE`, `NOT_FOUND`, `MISSING_TOOL`, `BUSY`, `BAD_MANIFEST`,
   *   `BAD_SOURCE`, `IO`
   */
  static async open(request: NetbootRequest): Promise<NetbootServer> {
    const { dhcp } = request
    if (dhcp !== 'none') requireRoot('answering DHCP')
    const on = await findInterface(request.interface)
    const range = typeof dhcp === 'object' ? parseRange(dhcp.range, on) : undefined
    const places = machineHome(request.home)
    const directory = request.image ?? findImage(places.image)
    const image = await readNetbootImage(directory, request.publicKey)
    const keys = await readSshKeys(request.sshKeys ?? [])
    const authorizedKeys = keys ?? (await homeSshKey(places.sshKey, join(places.locks, 'ssh-key')))
    const commandLine = planCommands(request, image, authorizedKeys)
    const files = await servedFiles(image, commandLine, request.signer)
    const cleanup = new CleanupStack()
    try {
      const place = { address: on.address, port: request.httpPort }
      const http = await FileServer.open(files, place, request.onEvent)
      cleanup.defer(() => http[Symbol.asyncDispose]())
      const url = `http://${on.address}:${http.port}/${NETBOOT_SCRIPT}`
      let failed = new Promise<never>(() => {})
      if (dhcp !== 'none') {
        const loaders = findLoaders(request.onNotice)
        const plan = { interface: on, range, scriptUrl: url, loaders }
        const dnsmasq = await Dnsmasq.start(plan, request.onEvent)
        cleanup.defer(() => dnsmasq[Symbol.asyncDispose]())
        failed = dnsmasq.failed
      }
      const facts = {
        interface: on.name,
        address: on.address,
        dhcp: range ?? (dhcp === 'proxy' ? 'proxy' : 'none'),
        url,
        files: [...files].map(([name, content]) => ({ name, bytes: content.length })),
        image: directory,
        sha256: image.initrdDigest,
        signed: image.publicKey !== undefined,
        commandLine
      } as const
      return new NetbootServer(facts, failed, cleanup)
    } catch (error) {
      await cleanup.undo()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cleanup.undo()
  }
}

/** iPXE for machines whose firmware is another one, where it is installed. */
function findLoaders(onNotice: (line: string) => void): Loaders {
  const find = (names: readonly string[], folder: string): string | undefined =>
    names.find((name) => existsSync(join(folder, name)))
  for (const folder of LOADER_FOLDERS) {
    const bios = find(LOADER_NAMES.bios, folder)
    const efi = find(LOADER_NAMES.efi, folder)
    if (bios !== undefined || efi !== undefined) return { folder, bios, efi }
  }
  onNotice('iPXE (package ipxe) is not installed: only firmware that is iPXE, as QEMU’s, can start')
  return {}
}

function planCommands(
  { host, append, bootstrap, onNotice }: NetbootRequest,
  image: NetbootImage,
  authorizedKeys: string
): string {
  if (host !== undefined && !HOST_PATTERN.test(host)) {
    throw new ContainerError('USAGE', `not a host name: ${JSON.stringify(host)}`, {
      hint: 'use letters, digits, dots and dashes'
    })
  }
  const isReached = bootstrap !== undefined && !/(^|,)\s*(127\.|localhost:)/.test(bootstrap)
  if (bootstrap !== undefined && !isReached) {
    onNotice(`machines cannot reach the private DHT at ${bootstrap}: they use the public one`)
  }
  const trust = { sha256: image.initrdDigest, publicKey: image.publicKey }
  const dht = isReached ? [`dat.bootstrap=${bootstrap.replaceAll(' ', '')}`] : []
  return planCommandLine({
    architecture: image.architecture ?? 'x64',
    name: host,
    authorizedKeys,
    // What is given comes first: what the first stage trusts is not to be overruled by chance.
    append: [...(append ? [append] : []), ...dht, netbootWords(trust)].join(' ')
  })
}

async function servedFiles(
  image: NetbootImage,
  commandLine: string,
  signer: CodeSigner | undefined
): Promise<Map<string, Buffer>> {
  const script = netbootScript({ commandLine, signed: signer !== undefined })
  const files = new Map([
    [NETBOOT_SCRIPT, Buffer.from(script)],
    [KERNEL, image.kernel],
    [NETBOOT_CHECK, image.check],
    [NETBOOT_IMAGE, image.archive]
  ])
  if (signer === undefined) return files
  for (const [name, content] of [...files]) {
    files.set(`${name}${CMS_SUFFIX}`, await signCms(content, signer))
  }
  return files
}

/** Lines of authorized_keys files; undefined when no file is given. */
async function readSshKeys(paths: readonly string[]): Promise<string | undefined> {
  const texts: string[] = []
  for (const path of paths) {
    const text = await readFile(path, 'utf8').catch((cause: unknown) => {
      const message = `the ssh key ${path} cannot be read (${systemErrorCode(cause)})`
      throw new ContainerError('NOT_FOUND', message, { cause })
    })
    if (text.includes('PRIVATE KEY') || !/^(ssh|ecdsa|sk)-\S+ \S+/m.test(text)) {
      throw new ContainerError('USAGE', `${path} holds no public ssh key`, {
        hint: 'give the .pub file'
      })
    }
    texts.push(text.trim())
  }
  return texts.length === 0 ? undefined : texts.join('\n')
}
