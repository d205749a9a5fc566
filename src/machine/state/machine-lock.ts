import { open, type FileHandle } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import fsx from 'fs-native-extensions'

const RETRY_MS = 20

/**
 * Takes the lock of a machine's name, trying for `waitMs`. It is one of an open file description:
 * QEMU inherits the descriptor, so the name stays taken for as long as the machine runs, whatever
 * becomes of the command that started it. Closing the handle gives it back when QEMU has none.
 *
 * The file stays: it is empty and goes with the next boot of this machine.
 *
 * @returns the locked file, or undefined when it is still held
 */
export async function takeMachineLock(
  path: string,
  waitMs: number
): Promise<FileHandle | undefined> {
  const deadline = performance.now() + waitMs
  const file = await open(path, 'a+', 0o600)
  for (;;) {
    if (fsx.tryLock(file.fd)) return file
    if (performance.now() >= deadline) break
    await sleep(RETRY_MS)
  }
  await file.close()
  return undefined
}
