/**
 * One end of a stream of traffic, on a host of a star. The receiver prints its port, then what arrived.
 * A sender of UDP keeps a given rate, TCP is as fast as it can be: its time runs from the
 * connection's first packet to the last byte, slow start included.
 */
import { createSocket } from 'node:dgram'
import { connect, createServer, type AddressInfo } from 'node:net'

/** What an end does, as JSON in its only argument. */
export interface TrafficJob {
  readonly role: 'send' | 'receive'
  readonly protocol: 'tcp' | 'udp'
  readonly address: string
  readonly port: number
  /** TCP ends after so many bytes; UDP sends so many. */
  readonly bytes: number
  /** What a UDP sender sends; TCP takes no notice. */
  readonly bitsPerSecond?: number
}

/** What arrived. */
export interface TrafficResult {
  readonly bytes: number
  /** With TCP from the connection’s start to its last byte; with UDP from the first packet to the last. */
  readonly elapsedMs: number
}

const UDP_PAYLOAD = 1_372
const UDP_RECEIVE_BUFFER = 4 << 20
/** UDP has ended when nothing came for so long. */
const UDP_SILENCE_MS = 1_000
const UDP_BATCH_MS = 1
const CHUNK = Buffer.alloc(1 << 16, 'x')

const job = JSON.parse(process.argv[2] ?? '') as TrafficJob
const runs = {
  tcp: { send: sendTcp, receive: receiveTcp },
  udp: { send: sendUdp, receive: receiveUdp }
}
runs[job.protocol][job.role]()

function tell(value: object): void {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

function receiveTcp(): void {
  const server = createServer((socket) => {
    let bytes = 0
    let started = 0
    socket.on('data', (chunk) => {
      if (started === 0) {
        started = Number(chunk.subarray(0, 8).readBigInt64BE())
        bytes -= 8
      }
      bytes += chunk.length
      if (bytes < job.bytes) return
      tell({ bytes, elapsedMs: (Number(process.hrtime.bigint()) - started) / 1e6 })
      socket.destroy()
      server.close()
    })
  }).listen(0, job.address, () => tell({ port: (server.address() as AddressInfo).port }))
}

function sendTcp(): void {
  // Both ends read one clock: namespaces of one machine.
  const started = process.hrtime.bigint()
  const socket = connect(job.port, job.address, () => {
    const head = Buffer.alloc(8)
    head.writeBigInt64BE(started)
    socket.write(head)
    let left = job.bytes
    const fill = (): void => {
      while (left > 0) {
        const chunk = left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK
        left -= chunk.length
        if (!socket.write(chunk)) return
      }
      socket.end()
    }
    socket.on('drain', fill)
    fill()
  })
  socket.on('error', () => {})
}

function receiveUdp(): void {
  const socket = createSocket({ type: 'udp4', recvBufferSize: UDP_RECEIVE_BUFFER })
  let bytes = 0
  let first = 0
  let last = 0
  let silence: NodeJS.Timeout | undefined
  socket.on('message', (message) => {
    last = performance.now()
    first ||= last
    bytes += message.length
    silence ??= setInterval(() => {
      if (performance.now() - last < UDP_SILENCE_MS) return
      clearInterval(silence)
      tell({ bytes, elapsedMs: last - first })
      socket.close()
    }, 50)
  })
  socket.bind(0, job.address, () => tell({ port: socket.address().port }))
}

function sendUdp(): void {
  const socket = createSocket({ type: 'udp4', sendBufferSize: UDP_RECEIVE_BUFFER })
  const payload = CHUNK.subarray(0, UDP_PAYLOAD)
  const bytesPerMs = (job.bitsPerSecond ?? 0) / 8_000
  const started = performance.now()
  let sent = 0
  const pace = (): void => {
    const due = Math.min(job.bytes, (performance.now() - started) * bytesPerMs)
    for (; sent < due; sent += payload.length) socket.send(payload, job.port, job.address)
    if (sent < job.bytes) setTimeout(pace, UDP_BATCH_MS)
  }
  pace()
}
