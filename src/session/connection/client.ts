import { connect, type Socket } from 'node:net'
import { ContainerError, isContainerError, systemErrorCode } from '../../core/errors.ts'
import { checkedGroupSocket, notMember } from '../../rpc/group-socket.ts'
import type { HomePaths } from '../../home/home.ts'
import type { Method } from '../../rpc/method.ts'
import { RpcChannel } from '../../rpc/rpc.ts'
import { startDaemon } from './start-daemon.ts'

/** How the daemon's socket can fail to answer. */
export type Absence = 'stopped' | 'died'

/** A connection to a home's daemon. */
export class DaemonClient implements Disposable {
  readonly #channel: RpcChannel
  readonly #socket: Socket
  readonly closed: Promise<void>

  private constructor(socket: Socket) {
    this.#socket = socket
    this.#channel = new RpcChannel(socket)
    this.closed = this.#channel.closed
  }

  /**
   * Connects, starting a daemon when none runs.
   *
   * @throws ContainerError what kept it from starting
   */
  static async connect(paths: HomePaths): Promise<DaemonClient> {
    const running = await DaemonClient.connectRunning(paths)
    if (running) return running
    if (paths.groupSocket !== undefined) throw serviceAbsent(paths.groupSocket)
    await startDaemon(paths)
    const started = await DaemonClient.#retry(paths)
    if (started) return started
    throw new ContainerError('DAEMON_UNREACHABLE', 'the daemon started but does not answer', {
      hint: `see its log: ${paths.daemonLog}`
    })
  }

  /** Connects to the daemon that runs; undefined when none does. */
  static async connectRunning(paths: HomePaths): Promise<DaemonClient | undefined> {
    const socket = await open(paths)
    return typeof socket === 'string' ? undefined : new DaemonClient(socket)
  }

  /**
   * Connects to the daemon that runs, or to a new one where it died. A daemon that was stopped
   * on purpose took its socket with it, and stays stopped.
   */
  static async reconnect(paths: HomePaths): Promise<DaemonClient | Absence> {
    const socket = await open(paths)
    if (typeof socket !== 'string') return new DaemonClient(socket)
    // Who runs a daemon for others starts it again.
    if (socket === 'stopped' || paths.groupSocket !== undefined) return socket
    try {
      return await DaemonClient.connect(paths)
    } catch (error) {
      if (isContainerError(error)) return socket
      throw error
    }
  }

  request<Request, Response>(
    method: Method<Request, Response>,
    request: Request
  ): Promise<Response> {
    return this.#channel.request(method, request)
  }

  /** Whether the daemon turned out to be of another release, whose socket speaks another protocol. */
  get isForeign(): boolean {
    return this.#channel.isForeign
  }

  get isClosed(): boolean {
    return this.#channel.isClosed || this.#socket.destroyed
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
    this.#channel.destroy()
  }

  static async #retry(paths: HomePaths): Promise<DaemonClient | undefined> {
    // Another starter's daemon may hold the lock a moment before it listens.
    for (let attempt = 0; attempt < 100; attempt++) {
      const client = await DaemonClient.connectRunning(paths)
      if (client) return client
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    return undefined
  }
}

async function open({ daemonSocket, groupSocket }: HomePaths): Promise<Socket | Absence> {
  if (groupSocket === undefined) return openSocket(daemonSocket)
  const path = checkedGroupSocket(groupSocket)
  return path === undefined ? 'stopped' : openSocket(path)
}

function serviceAbsent(path: string): ContainerError {
  return new ContainerError('DAEMON_UNREACHABLE', `no daemon serves ${path}`, {
    hint: 'start it: sudo systemctl start dat-container; or leave `socket` (DAT_CONTAINER_SOCKET) out to use a daemon of your own'
  })
}

function openSocket(path: string): Promise<Socket | Absence> {
  return new Promise((resolve, reject) => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.off('error', onError)
      resolve(socket)
    })
    const onError = (error: Error): void => {
      const code = systemErrorCode(error)
      if (code === 'ENOENT') resolve('stopped')
      else if (code === 'ECONNREFUSED') resolve('died')
      else if (code === 'EACCES') reject(notMember(path, error))
      else
        reject(
          new ContainerError('DAEMON_UNREACHABLE', `cannot reach ${path}: ${code}`, {
            cause: error
          })
        )
    }
    socket.once('error', onError)
  })
}
