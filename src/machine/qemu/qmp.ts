import { connect, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { ContainerError } from '../../core/errors.ts'
import type { ControlPlace } from '../state/machine-types.ts'

const ANSWER_TIMEOUT_MS = 5000

interface QmpMessage {
  readonly QMP?: unknown
  readonly id?: number
  readonly return?: unknown
  readonly error?: { readonly class: string; readonly desc: string }
  readonly event?: string
}

interface Pending {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: ContainerError) => void
}

/**
 * A connection to the control socket of a running QEMU (QMP). QEMU serves one connection at a time and lets others
 * wait for its greeting, so keep it short.
 */
export class Qmp implements Disposable {
  readonly #socket: Socket
  readonly #pending = new Map<number, Pending>()
  #greeted: Pending | undefined
  #lastId = 0

  private constructor(socket: Socket) {
    this.#socket = socket
    createInterface({ input: socket })
      .on('line', (line) => this.#onLine(line))
      // It passes the socket's errors on; `close` tells those who wait.
      .on('error', () => {})
    socket.on('error', () => {})
    socket.on('close', () => this.#fail(gone()))
  }

  /**
   * Connects and ends the negotiation of capabilities.
   *
   * @throws ContainerError `NOT_RUNNING` when nobody listens, `TIMEOUT`
   */
  static async open(place: ControlPlace, timeoutMs = ANSWER_TIMEOUT_MS): Promise<Qmp> {
    const socket = place.kind === 'unix' ? connect(place.path) : connect(place.port, '127.0.0.1')
    const qmp = new Qmp(socket)
    try {
      await qmp.#within(
        timeoutMs,
        new Promise<unknown>((resolve, reject) => {
          qmp.#greeted = { resolve, reject }
        })
      )
      await qmp.execute('qmp_capabilities', {}, timeoutMs)
      return qmp
    } catch (error) {
      qmp[Symbol.dispose]()
      throw error
    }
  }

  /**
   * Runs a command of the QEMU Machine Protocol.
   *
   * @returns what it returns
   * @throws ContainerError `IO` what QEMU says, `NOT_RUNNING` when it goes away, `TIMEOUT`
   */
  async execute(
    command: string,
    parameters: Readonly<Record<string, unknown>> = {},
    timeoutMs = ANSWER_TIMEOUT_MS
  ): Promise<unknown> {
    const id = ++this.#lastId
    const answer = new Promise<unknown>((resolve, reject) => {
      if (this.#socket.destroyed) reject(gone())
      else this.#pending.set(id, { resolve, reject })
    })
    this.#socket.write(`${JSON.stringify({ execute: command, arguments: parameters, id })}\n`)
    try {
      return await this.#within(timeoutMs, answer)
    } finally {
      this.#pending.delete(id)
    }
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }

  async #within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => {
        reject(new ContainerError('TIMEOUT', 'QEMU does not answer on its control socket'))
      }, timeoutMs)
    })
    try {
      return await Promise.race([work, late])
    } finally {
      clearTimeout(timer)
    }
  }

  #onLine(line: string): void {
    let message: QmpMessage
    try {
      message = JSON.parse(line) as QmpMessage
    } catch {
      return
    }
    if (message.QMP !== undefined) this.#greeted?.resolve(message.QMP)
    const pending = message.id === undefined ? undefined : this.#pending.get(message.id)
    if (message.error === undefined) pending?.resolve(message.return)
    else pending?.reject(new ContainerError('IO', `QEMU refused: ${message.error.desc}`))
  }

  #fail(error: ContainerError): void {
    this.#greeted?.reject(error)
    for (const { reject } of this.#pending.values()) reject(error)
  }
}

function gone(): ContainerError {
  return new ContainerError('NOT_RUNNING', 'QEMU is not there')
}
