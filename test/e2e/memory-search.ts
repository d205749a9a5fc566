import { closeSync, openSync, readdirSync, readFileSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'

const PIECE_BYTES = 4 * 1024 * 1024
/** What is looked for may lie across the end of a piece. */
const OVERLAP_BYTES = 512

/** What is looked for, by what it is called. */
export type Needles = Readonly<Record<string, Buffer>>

/** Tells which needles are in contents and names of files below a directory, each with the file. */
export function foundBelow(
  directory: string,
  needles: Needles
): { readonly needle: string; readonly file: string }[] {
  const found: { needle: string; file: string }[] = []
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const path = join(directory, name)
    if (statSync(path, { throwIfNoEntry: false })?.isFile() !== true) continue
    const content = readFileSync(path)
    for (const [needle, bytes] of Object.entries(needles)) {
      if (content.includes(bytes) || name.includes(bytes.toString('latin1'))) {
        found.push({ needle, file: name })
      }
    }
  }
  return found
}

/** Tells which needles are in what a process has in memory, its arguments and environment included; as root. */
export function foundInMemory(pid: number, needles: Needles): Set<string> {
  const found = new Set<string>()
  const memory = openSync(`/proc/${pid}/mem`, 'r')
  const piece = Buffer.alloc(PIECE_BYTES + OVERLAP_BYTES)
  let bytesSeen = 0
  try {
    for (const line of readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n')) {
      const [, first, end] = /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line) ?? []
      // Those of the kernel.
      if (first === undefined || end === undefined || /\[v(var|syscall)/.test(line)) continue
      const last = Number.parseInt(end, 16)
      for (let from = Number.parseInt(first, 16); from < last; from += PIECE_BYTES) {
        const bytes = readMemory(memory, piece, from, Math.min(piece.length, last - from))
        bytesSeen += bytes
        for (const [needle, wanted] of Object.entries(needles)) {
          if (!found.has(needle) && piece.subarray(0, bytes).includes(wanted)) found.add(needle)
        }
      }
    }
  } finally {
    closeSync(memory)
  }
  if (bytesSeen < PIECE_BYTES) throw new Error(`only ${bytesSeen} bytes of ${pid} could be read`)
  return found
}

/** @returns 0 where the process has reserved addresses and no memory there */
function readMemory(memory: number, into: Buffer, position: number, bytes: number): number {
  try {
    return readSync(memory, into, 0, bytes, position)
  } catch {
    return 0
  }
}
