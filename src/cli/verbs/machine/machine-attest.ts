import type { Command } from 'commander'
import type { Attestation } from '../../../machine/guest/attest.ts'
import { ContainerError } from '../../../core/errors.ts'
import { DEFAULT_NAME } from '../../../machine/state/machine-paths.ts'
import { nonce } from '../../parse/arguments.ts'
import { readGlobals, type Globals } from '../../parse/globals.ts'
import { interruptible } from '../../print/interrupt.ts'
import { printable } from '../../print/output.ts'
import { table } from '../../print/table.ts'

interface AttestFlags {
  readonly nonce?: string
  readonly output?: string
  readonly verify?: string
  readonly publicKey?: string
  readonly image?: string
  readonly commandLine?: string
}

/** `machine attest`. */
export function addMachineAttest(machine: Command): void {
  machine
    .command('attest')
    .description('have a machine sign what it booted and what it runs, and check that')
    .argument('[name]', `the machine (default: "${DEFAULT_NAME}")`)
    .option(
      '--nonce <hex>',
      'number for the machine to sign as well (default: a random one)',
      nonce
    )
    .option('-o, --output <file>', 'save the signed record in a file')
    .option('--verify <file>', 'check a saved record, without asking a machine')
    .option('--public-key <key>', 'with --verify: the ssh-ed25519 key that signed it, or its file')
    .option('--image <dir>', 'with --verify: kernel and initrd are those of this HyperOS')
    .option('--command-line <text>', 'with --verify: the kernel’s command line is this')
    .addHelpText(
      'after',
      '\nIt checks the signature by the key that the machine printed on its console at this boot, the nonce,' +
        '\nkernel, initrd, command line and ssh host key. The exit status is 5 if anything differs.\n' +
        '\nExamples:\n  dat-container machine attest web --output web.attest\n' +
        "  dat-container machine attest --verify web.attest --public-key 'ssh-ed25519 AAAA…'"
    )
    .action(async (name: string | undefined, flags: AttestFlags, command: Command) => {
      const globals = readGlobals(command)
      if (flags.verify === undefined) await ask(name ?? DEFAULT_NAME, flags, globals)
      else await verifyKept(flags.verify, name, flags, globals)
    })
}

async function ask(name: string, flags: AttestFlags, { home, output }: Globals): Promise<void> {
  const stray = (['publicKey', 'image', 'commandLine'] as const).find(
    (flag) => flags[flag] !== undefined
  )
  if (stray !== undefined) {
    throw new ContainerError('USAGE', 'a running machine is compared with how it was started', {
      hint: '--public-key, --image and --command-line require --verify FILE'
    })
  }
  const { attestMachine } = await import('../../../machine/guest/attest.ts')
  const found = await interruptible((signal) =>
    attestMachine({ home, name, nonce: flags.nonce, signal })
  )
  if (flags.output !== undefined) {
    const { writeFileAtomically } = await import('../../../core/atomic-file.ts')
    await writeFileAtomically(
      flags.output,
      `${JSON.stringify(found.signed, undefined, 2)}\n`,
      0o644
    )
  }
  show(found, output)
}

async function verifyKept(
  file: string,
  machine: string | undefined,
  flags: AttestFlags,
  { output }: Globals
): Promise<void> {
  if (flags.publicKey === undefined || flags.output !== undefined) {
    throw new ContainerError('USAGE', '--verify requires --public-key and excludes --output', {
      hint: 'the host that started the machine knows its key: machine attest NAME --json'
    })
  }
  const { readFile } = await import('node:fs/promises')
  const { parseSshPublicKey } = await import('../../../attest/ssh-signature.ts')
  const { checkRecord } = await import('../../../machine/guest/attest.ts')
  const { openImage } = await import('../../../machine/os-image/os-image.ts')
  const { textOrFile } = await import('../../../machine/os-image/os-manifest.ts')
  const document = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw new ContainerError('NOT_FOUND', `cannot read ${file}`, {
      hint: 'give what machine attest --output wrote',
      cause
    })
  })
  const image = flags.image === undefined ? undefined : await openImage(flags.image)
  const found = await checkRecord(document, {
    publicKey: parseSshPublicKey(await textOrFile(flags.publicKey)),
    machine,
    nonce: flags.nonce,
    commandLine: flags.commandLine,
    kernelSha256: image?.kernelSha256,
    initrdSha256: image?.initrdSha256
  })
  show(found, output)
}

function show({ signed, record }: Attestation, output: Globals['output']): void {
  const { publicKey } = signed
  output.result({ verified: true, publicKey, record }, () =>
    table(
      [
        ['machine', record.machine],
        ['signed by', publicKey],
        ['signed at', record.signedAt],
        ['booted at', record.bootedAt],
        ['boot', record.bootId],
        ['kernel', record.kernelTold ?? 'not told'],
        ['initrd', record.initrdTold ?? 'not told'],
        [
          'initrd, measured',
          record.initrdMeasured ?? 'no (needs retain_initrd on the command line)'
        ],
        ['command line', record.commandLine],
        ['key to ssh', record.sshHostKey ?? 'none'],
        ['nonce', record.nonce],
        ...record.containers.map(({ name, key, version }) => [
          `container ${name}`,
          `${key}@${version}`
        ])
      ].map((row) => row.map(printable))
    )
  )
}
