/**
 * Asks a server on this host's loopback for its answer, every 10 ms until it comes. Prints a line
 * when it is about to ask for the first time, and the moment of the answer in milliseconds of nowMs().
 *
 *   node probe-main.js READINESS   as JSON
 */
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Readiness } from '../workloads/workload.ts'
import { nowMs } from './clock.ts'

type Asked = Extract<Readiness, { port: number }>

const INTERVAL_MS = 10
/** A server that took the question and is silent may be asked again. */
const SILENCE_MS = 2_000
const POSTGRES_PROTOCOL = 196_608

const ready = JSON.parse(process.argv[2] ?? '') as Asked
process.stdout.write('asking\n')
for (;;) {
  const started = nowMs()
  if (await answers(ready)) break
  await sleep(Math.max(0, INTERVAL_MS - (nowMs() - started)))
}
process.stdout.write(`${nowMs()}\n`)

/** Asks once. @returns whether the expected answer came */
async function answers(asked: Asked): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(asked.port, '127.0.0.1')
    const end = (answered: boolean): void => {
      socket.destroy()
      resolve(answered)
    }
    let received = Buffer.alloc(0)
    socket.setTimeout(SILENCE_MS, () => end(false))
    socket.on('error', () => end(false))
    socket.on('close', () => end(false))
    socket.on('connect', () => socket.write(question(asked)))
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk])
      if (isAnswer(asked, received, socket)) end(true)
    })
  })
}

function question(asked: Asked): Buffer | string {
  if (asked.by === 'redis') return 'PING\r\n'
  if (asked.by === 'http') return 'GET / HTTP/1.0\r\n\r\n'
  return startup()
}

function isAnswer(asked: Asked, received: Buffer, socket: Socket): boolean {
  if (asked.by === 'redis') return received.includes('+PONG')
  if (asked.by === 'http') return received.includes(asked.marker)
  const types = messageTypes(received)
  // `Z` says that a query may come; `D` is a row of what it asks for.
  if (types.at(-1) === 'Z' && !types.includes('D')) socket.write(query('select version()'))
  return types.includes('D')
}

/** StartupMessage of PostgreSQL's protocol 3.0: its documentation, chapter “Message Formats”. */
function startup(): Buffer {
  const names = Buffer.from('user\0postgres\0database\0postgres\0\0')
  const message = Buffer.alloc(8 + names.length)
  message.writeUInt32BE(message.length)
  message.writeUInt32BE(POSTGRES_PROTOCOL, 4)
  names.copy(message, 8)
  return message
}

function query(sql: string): Buffer {
  const text = Buffer.from(`${sql}\0`)
  const message = Buffer.alloc(5 + text.length)
  message.write('Q')
  message.writeUInt32BE(4 + text.length, 1)
  text.copy(message, 5)
  return message
}

/** The type bytes of the whole messages so far: each a byte, a length that counts itself, a body. */
function messageTypes(received: Buffer): string[] {
  const types: string[] = []
  let at = 0
  while (at + 5 <= received.length) {
    const next = at + 1 + received.readUInt32BE(at + 1)
    if (next > received.length) break
    types.push(String.fromCharCode(received[at] ?? 0))
    at = next
  }
  return types
}
