import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { syncDirectory } from '../../core/atomic-file.ts'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { runCommand } from '../../core/host/host-command.ts'
import { takeLock } from '../../core/host/kernel-lock.ts'

const COMMENT = 'dat-container machine'
const LOCK_WAIT_MS = 10_000
const KEYGEN_MS = 30_000

/**
 * The public key of a home's own pair, which ssh-keygen(1) makes when there is none: an Ed25519 pair without a
 * passphrase. Either file is whole or absent, and the private one is its user's alone.
 *
 * @param path of the private key; the public one is beside it, `.pub`
 * @param lock a file that is locked meanwhile: two first starts at once must not make two pairs
 * @returns a line of an authorized_keys file, without its end
 * @throws ContainerError `MISSING_TOOL` without ssh-keygen, `IO`; `BUSY` when another process does not finish making it
 */
export async function homeSshKey(path: string, lock: string): Promise<string> {
  await using held = await takeLock(lock, { waitMs: LOCK_WAIT_MS, keepFile: true })
  if (held === undefined) {
    throw new ContainerError('BUSY', `another process is making the key ${path}`)
  }
  return (await readPublicKey(path)) ?? (await makeKeyFiles(path))
}

async function makeKeyFiles(path: string): Promise<string> {
  // Beside them, and by one name: what a killed process left there goes with the next pair.
  const folder = `${path}.new`
  const made = join(folder, 'key')
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { mode: 0o700 })
  try {
    const words = ['-q', '-t', 'ed25519', '-N', '', '-C', COMMENT, '-f', made]
    const { exitCode, stdout, stderr } = await runCommand('ssh-keygen', words, {
      timeoutMs: KEYGEN_MS
    })
    if (exitCode !== 0) {
      const why = `${stdout}${stderr}`.trim().split('\n').at(-1) ?? ''
      throw new ContainerError('IO', `ssh-keygen cannot make the key ${path}: ${why}`)
    }
    // They are moved, not copied: on Windows, ssh takes a private key by its access list.
    await keep(made, path, 0o600)
    // The public one last: where it is, the private one is too.
    await keep(`${made}.pub`, `${path}.pub`, 0o644)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
  return (await readFile(`${path}.pub`, 'utf8')).trim()
}

/** Has what was written reach the disk before it gets its name. */
async function keep(from: string, to: string, mode: number): Promise<void> {
  const file = await open(from, 'r+')
  try {
    await file.chmod(mode)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(from, to)
  await syncDirectory(dirname(to))
}

async function readPublicKey(path: string): Promise<string | undefined> {
  try {
    return (await readFile(`${path}.pub`, 'utf8')).trim()
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}
