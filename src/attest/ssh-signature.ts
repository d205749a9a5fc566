/**
 * Signatures of texts in OpenSSH's format (PROTOCOL.sshsig), made and checked by ssh-keygen(1).
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { withCleanup } from '../core/cleanup-stack.ts'
import { ContainerError } from '../core/errors.ts'
import { temporaryDirectory } from '../core/temporary-directory.ts'
import { HOST_PATH } from '../core/host/package-manager.ts'
import { missingTool } from '../core/host/host-command.ts'

/** Stands for the signer in the list of keys that ssh-keygen checks against. */
const SIGNER = 'signer'

/**
 * Reads an Ed25519 public key as OpenSSH writes it, `ssh-ed25519 BASE64 [COMMENT]`.
 *
 * @returns it without its comment
 * @throws ContainerError `USAGE`
 */
export function parseSshPublicKey(text: string): string {
  const [type, base64 = ''] = text.trim().split(/\s+/)
  const bytes = Buffer.from(base64, 'base64')
  // A length and the type's name, a length and 32 bytes: RFC 8709.
  if (type === 'ssh-ed25519' && bytes.length === 51 && bytes.toString('base64') === base64) {
    return `${type} ${base64}`
  }
  throw new ContainerError('USAGE', 'not an Ed25519 public key of ssh', {
    hint: 'give the line that begins with ssh-ed25519, or a file that holds it'
  })
}

/**
 * Signs a text.
 *
 * @param namespace what the signature is for; one for something else is never taken for it
 * @param keyFile of a private key without a password
 * @returns the armored signature
 * @throws ContainerError `MISSING_TOOL`, `IO`
 */
export async function signText(text: string, namespace: string, keyFile: string): Promise<string> {
  const ran = await sshKeygen(['-Y', 'sign', '-n', namespace, '-f', keyFile], text)
  if (ran.exitCode === 0) return ran.stdout
  throw new ContainerError('IO', `ssh-keygen cannot sign: ${lastLine(ran.stderr)}`)
}

/**
 * Checks a signature.
 *
 * @param publicKey as {@link parseSshPublicKey} returns it
 * @returns whether `signature` is of this text, for this namespace, by this key
 * @throws ContainerError `MISSING_TOOL`, `IO`
 */
export async function isSigned(
  text: string,
  { signature, namespace, publicKey }: { signature: string; namespace: string; publicKey: string }
): Promise<boolean> {
  return withCleanup(async (cleanup) => {
    const folder = await temporaryDirectory(cleanup)
    const keys = join(folder, 'keys')
    const file = join(folder, 'signature')
    await writeFile(keys, `${SIGNER} namespaces="${namespace}" ${publicKey}\n`)
    await writeFile(file, signature)
    const words = ['-Y', 'verify', '-f', keys, '-I', SIGNER, '-n', namespace, '-s', file]
    return (await sshKeygen(words, text)).exitCode === 0
  })
}

async function sshKeygen(words: readonly string[], input: string) {
  // Loaded with the first command: a container's start need not wait for it.
  const { execa } = await import('execa')
  const env = { PATH: HOST_PATH, LC_ALL: 'C' }
  const ran = await execa('ssh-keygen', words, {
    ...{ reject: false, extendEnv: false, env, input, stripFinalNewline: false }
  })
  if (ran.code === 'ENOENT') throw await missingTool('ssh-keygen')
  return { exitCode: ran.exitCode ?? 128, stdout: ran.stdout ?? '', stderr: ran.stderr ?? '' }
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? ''
}
