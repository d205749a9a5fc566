import { closeSync, fchmodSync, fstatSync } from 'node:fs'
import { Socket } from 'node:net'
import { openPipe } from './command-streams.ts'
import { sealProgram } from './enter/sealed-program.ts'

/** A stream of a command that stands for /dev/null. */
export interface NullStream {
  readonly descriptor: number
  /** To be called once its process has been started. */
  started(): void
}

const FOR_ALL = 0o666
/** 1:3, as makedev(3) packs it. */
const NULL_DEVICE = 0x1_03

/**
 * Nothing, to be read. Not this machine's /dev/null: root of a container without ids of its own could give
 * that another mode or owner, for everybody here.
 */
export function nullInput(): NullStream {
  const descriptor = sealProgram(Buffer.alloc(0))
  return { descriptor, started: () => closeSync(descriptor) }
}

/** Takes what is written, and forgets it; for the reason of {@link nullInput}. */
export function nullOutput(): NullStream {
  const [readEnd, writeEnd] = openPipe()
  // As with a device, whoever the command runs as may open it by /dev/stdout.
  fchmodSync(writeEnd, FOR_ALL)
  return {
    descriptor: writeEnd,
    started() {
      closeSync(writeEnd)
      new Socket({ fd: readEnd, readable: true, writable: false })
        .on('error', () => {})
        .resume()
        .unref()
    }
  }
}

/** Whether a stream of this process is this machine's /dev/null. */
export function isNull(descriptor: number): boolean {
  try {
    const status = fstatSync(descriptor)
    return status.isCharacterDevice() && status.rdev === NULL_DEVICE
  } catch {
    // Closed.
    return false
  }
}
