/**
 * Uses a mounted image in one way for as long as it is told to, and compares what it gets with the source.
 *
 *   node toucher-main.js read|map|walk MOUNT SOURCE
 *
 * Reads the name of a directory a line, below which it then uses the files; an empty line ends that. Answers with
 * JSON lines: each use that took long, what failed, and how many there were.
 */
import { closeSync, openSync, lstatSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import koffi from 'koffi'
import { monotonicMs } from '../../src/core/monotonic-clock.ts'
import type { Touched } from './restarts.ts'

const PIECE_BYTES = 64 * 1024
const PAUSE_MS = 50
/** What takes longer is told. */
const LONG_MS = 20
const PROT_READ = 1
const MAP_SHARED = 1

const [way = '', mount = '', source = ''] = process.argv.slice(2)
const libc = koffi.load(null)
const mmap = libc.func('void *mmap(void *, size_t, int, int, int, int64_t)') as (
  ...args: unknown[]
) => unknown
const munmap = libc.func('int munmap(void *, size_t)') as (...args: unknown[]) => number
const memcpy = libc.func('void *memcpy(_Out_ uint8_t *, void *, size_t)') as (
  ...args: unknown[]
) => unknown

let told: AbortController | undefined

for await (const line of createInterface({ input: process.stdin })) {
  told?.abort()
  told = new AbortController()
  if (line !== '') void use(line, told.signal)
}

async function use(directory: string, signal: AbortSignal): Promise<void> {
  let uses = 0
  const one = way === 'walk' ? walker() : toucher(directory)
  while (!signal.aborted) {
    const from = monotonicMs()
    try {
      one()
      uses++
    } catch (error) {
      tell({ failed: String(error) })
    }
    const to = monotonicMs()
    if (to - from > LONG_MS) tell({ from, to })
    // What it is told meanwhile is read here.
    await sleep(PAUSE_MS)
  }
  tell({ uses })
}

function tell(what: Touched): void {
  process.stdout.write(`${JSON.stringify(what)}\n`)
}

/** One piece of the files each time, in any order. */
function toucher(directory: string): () => void {
  const path = join(directory, way)
  const wanted = readFileSync(join(source, path))
  const pieces = Array.from({ length: wanted.length / PIECE_BYTES }, (_, n) => n * PIECE_BYTES)
  for (let n = pieces.length - 1; n > 0; n--) {
    const other = Math.floor(Math.random() * (n + 1))
    ;[pieces[n], pieces[other]] = [pieces[other] ?? 0, pieces[n] ?? 0]
  }
  let next = 0
  return () => {
    const at = pieces[next++ % pieces.length] ?? 0
    const got = Buffer.alloc(PIECE_BYTES)
    const fd = openSync(join(mount, path), 'r')
    try {
      if (way === 'map') copyMapped(fd, at, got)
      else readSync(fd, got, 0, PIECE_BYTES, at)
    } finally {
      closeSync(fd)
    }
    if (!got.equals(wanted.subarray(at, at + PIECE_BYTES))) throw new Error(`wrong bytes at ${at}`)
  }
}

function copyMapped(fd: number, at: number, into: Buffer): void {
  const mapped = mmap(null, into.length, PROT_READ, MAP_SHARED, fd, at)
  memcpy(into, mapped, into.length)
  munmap(mapped, into.length)
}

/** The whole tree, with what the source has. */
function walker(): () => void {
  const names = (root: string): string[] =>
    readdirSync(root, { recursive: true, encoding: 'utf8' }).toSorted()
  const wanted = names(source).map((name) => [name, lstatSync(join(source, name)).size] as const)
  return () => {
    const found = names(mount)
    if (found.length !== wanted.length) throw new Error(`${found.length} names`)
    for (const [name, size] of wanted) {
      if (
        !lstatSync(join(mount, name)).isDirectory() &&
        lstatSync(join(mount, name)).size !== size
      ) {
        throw new Error(`another size of ${name}`)
      }
    }
  }
}
