import { randomBytes } from 'node:crypto'
import { chown, constants, copyFile, open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { listenAt } from './control-listener.ts'
import type { MachinePlan } from './qemu-plan.ts'
import type { ControlPlace } from '../state/machine-types.ts'

/** The first descriptor of a started QEMU that is free: after its streams and its lock's. */
export const FIRST_DESCRIPTOR = 4
/** Readable by its owner, who is not root. */
const LENT_MODE = 0o400

/** The open files that are passed to a QEMU that may not open them itself. */
export interface LentFiles extends AsyncDisposable {
  /** The plan, with descriptors in place of paths. */
  readonly plan: MachinePlan
  /** Goes before the plan's arguments. */
  readonly argv: readonly string[]
  /** To be inherited in this order, from the descriptor on that was asked for. */
  readonly descriptors: readonly number[]
}

/**
 * Opens what QEMU needs of a home that only its owner enters. Kernel, initrd and key are copies, which
 * QEMU reads once; disk and log are the files themselves.
 *
 * @param uid who is to read the copies
 * @param directory where they are made; nothing stays there
 * @param first number that the started process has the first descriptor under
 * @throws the system's error
 */
export async function lendFiles(
  plan: MachinePlan & { readonly control: Extract<ControlPlace, { kind: 'unix' }> },
  uid: number,
  directory: string,
  first = FIRST_DESCRIPTOR
): Promise<LentFiles> {
  const files: FileHandle[] = []
  const argv: string[] = []
  let closeControl = (): void => {}
  const close = async (): Promise<void> => {
    for (const file of files) await file.close()
    closeControl()
  }
  const descriptorOf = (file: FileHandle): number => first + files.push(file) - 1
  const copy = async (path: string): Promise<string> => {
    const temporary = join(directory, `lent-${randomBytes(6).toString('hex')}`)
    try {
      await copyFile(path, temporary, constants.COPYFILE_EXCL)
      await chown(temporary, uid, uid)
      const file = await open(temporary, 'r')
      const descriptor = descriptorOf(file)
      await file.chmod(LENT_MODE)
      return `/proc/self/fd/${descriptor}`
    } finally {
      await rm(temporary, { force: true })
    }
  }
  // QEMU takes the descriptor of a set that was opened as it wants to; it reads a disk before it writes.
  const set = async (path: string, ...ways: ('r' | 'r+' | 'w')[]): Promise<string> => {
    const number = first + files.length
    for (const flags of ways) {
      const descriptor = descriptorOf(await open(path, flags, 0o600))
      argv.push('-add-fd', `fd=${descriptor},set=${number},opaque=${path.replaceAll(',', ',,')}`)
    }
    return `/dev/fdset/${number}`
  }
  try {
    const { disk, diskKey } = plan
    const lent = {
      kernel: await copy(plan.kernel),
      initrd: await copy(plan.initrd),
      ...(diskKey === undefined ? {} : { diskKey: await copy(diskKey) }),
      ...(disk === undefined ? {} : { disk: { ...disk, path: await set(disk.path, 'r+', 'r') } }),
      consoleLog: await set(plan.consoleLog, 'w')
    }
    const control = listenAt(plan.control.path)
    closeControl = control.close
    const controlDescriptor = first + files.length
    return {
      plan: { ...plan, ...lent, controlDescriptor },
      argv,
      descriptors: [...files.map(({ fd }) => fd), control.fd],
      [Symbol.asyncDispose]: close
    }
  } catch (error) {
    await close()
    throw error
  }
}
