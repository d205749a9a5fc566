import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import type { StarHost } from '../wan/star.ts'
import { background } from './rival.ts'

const POLL_MS = 5
const MOUNT_TIMEOUT_MS = 60_000

/**
 * Starts a program on a host that mounts something on a directory for as long as it runs; returns once
 * it is mounted. Disposing unmounts it and waits for the program to end.
 */
export async function mountedBy(
  host: StarHost,
  directory: string,
  ...command: string[]
): Promise<AsyncDisposable> {
  const running = background(host, ...command)
  const dispose = async (): Promise<void> => {
    if (isMounted(directory)) await execa('umount', ['--lazy', directory])
    await running[Symbol.asyncDispose]()
  }
  const deadline = Date.now() + MOUNT_TIMEOUT_MS
  while (!isMounted(directory)) {
    if (running.ended || Date.now() > deadline) {
      await dispose()
      throw new Error(`${command[0]} mounted nothing on ${directory}`)
    }
    await sleep(POLL_MS)
  }
  return { [Symbol.asyncDispose]: dispose }
}

function isMounted(directory: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8').includes(` ${directory} `)
}
