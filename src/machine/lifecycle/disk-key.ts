import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { writeFileAtomically } from '../../core/atomic-file.ts'
import { ContainerError } from '../../core/errors.ts'
import type { MachineConfig } from '../state/machine-record.ts'
import type { MachinePaths } from '../state/machine-paths.ts'

const KEY_BYTES = 32
/** A key is random, so a long one gains nothing: this is no key but a wrong file. */
const MOST_KEY_BYTES = 64 * 1024
const OTHERS = 0o077

/**
 * The file with the key of a machine's encrypted data disk. One that the home keeps is made with the
 * disk. Its bytes are the key; they reach the guest by QEMU's fw_cfg, which reads the file, and so are
 * in no argument list.
 *
 * @param before the configuration of the last start
 * @param notice told of a key that others can read
 * @returns undefined for a disk that is not encrypted
 * @throws ContainerError `USAGE` for a disk that cannot be encrypted now, or a file that is no key;
 *   `NOT_FOUND` when the key is gone
 */
export async function diskKey(
  paths: MachinePaths,
  config: MachineConfig,
  before: MachineConfig | undefined,
  notice: (line: string) => void
): Promise<string | undefined> {
  if (config.keyFile === undefined) return undefined
  // A home that was moved has its own keys with it.
  const keyFile = !existsSync(config.keyFile) && existsSync(paths.key) ? paths.key : config.keyFile
  if (config.diskBytes === 0) {
    throw new ContainerError('USAGE', `machine ${paths.name} has no data disk to encrypt`, {
      hint: 'give it one with --disk, or leave the encryption out'
    })
  }
  const hasDisk = existsSync(paths.disk)
  if (hasDisk && before?.keyFile === undefined) {
    throw new ContainerError('USAGE', `the data disk of ${paths.name} is not encrypted`, {
      hint: `only a new disk can be: choose another name, or remove machine and data first (dat-container machine rm ${paths.name})`
    })
  }
  if (keyFile === paths.key && !hasDisk && !existsSync(keyFile)) {
    await writeFileAtomically(keyFile, randomBytes(KEY_BYTES))
  }
  const found = await stat(keyFile).catch(() => undefined)
  if (found?.isFile() !== true) {
    throw new ContainerError('NOT_FOUND', `there is no key file ${keyFile}`, {
      hint: 'the data disk cannot be read without its key: give it with --key-file'
    })
  }
  if (found.size === 0 || found.size > MOST_KEY_BYTES) {
    throw new ContainerError('USAGE', `${keyFile} is not a key: it has ${found.size} bytes`, {
      hint: `make one: head -c ${KEY_BYTES} /dev/urandom > FILE`
    })
  }
  if (process.platform !== 'win32' && (found.mode & OTHERS) !== 0) {
    notice(`others can read the key file ${keyFile}: chmod 600 it`)
  }
  return keyFile
}
