import { missingTool } from '../../core/host/host-command.ts'
import { HOST_PATH } from '../../core/host/package-manager.ts'
import { ContainerError } from '../../core/errors.ts'

/** Paths of a key, its certificate for signing code, and certificates above that one: PEM. */
export interface CodeSigner {
  readonly key: string
  readonly certificate: string
  /** iPXE knows of a root no more than its fingerprint: what is between comes along, the root too. */
  readonly chain?: string | undefined
}

/**
 * Makes a signature for iPXE's `imgverify` (https://ipxe.org/cmd/imgverify): CMS (RFC 5652), detached, in DER.
 *
 * @throws ContainerError `MISSING_TOOL`, `USAGE` for something that is not a key or certificate
 */
export async function signCms(content: Buffer, signer: CodeSigner): Promise<Buffer> {
  const { execa } = await import('execa')
  const chain = signer.chain === undefined ? [] : ['-certfile', signer.chain]
  const keys = ['-signer', signer.certificate, '-inkey', signer.key, ...chain]
  // A password is not asked for.
  const form = ['-sign', '-binary', '-noattr', '-outform', 'DER', '-passin', 'pass:']
  const { failed, code, stdout, stderr } = await execa('openssl', ['cms', ...form, ...keys], {
    reject: false,
    encoding: 'buffer',
    input: content,
    extendEnv: false,
    env: { PATH: HOST_PATH, LC_ALL: 'C' }
  })
  if (code === 'ENOENT') throw await missingTool('openssl')
  if (!failed && stdout !== undefined && stdout.length > 0) return Buffer.from(stdout)
  const said =
    Buffer.from(stderr ?? '')
      .toString()
      .trim()
      .split('\n')[0] ?? ''
  throw new ContainerError('USAGE', `openssl cannot sign with ${signer.key}: ${said}`, {
    hint: 'give a key without a password and its code-signing certificate, both in PEM'
  })
}
