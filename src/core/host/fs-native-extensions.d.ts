declare module 'fs-native-extensions' {
  const fsx: {
    /** Open-file-description write lock; false when another description holds one. */
    tryLock(descriptor: number): boolean
    unlock(descriptor: number): void
  }
  export default fsx
}

declare module 'framed-stream' {
  import type { Duplex } from 'node:stream'
  /** Length-prefixed messages over a byte stream. */
  export default class FramedStream extends Duplex {
    constructor(raw: Duplex)
    /** Takes what comes on the stream below. */
    protected _ondata(data: Buffer): void
  }
}

declare module 'compact-encoding' {
  export interface State {
    start: number
    end: number
    buffer: Uint8Array
  }
  export interface Encoding<T> {
    preencode(state: State, value: T): void
    encode(state: State, value: T): void
    decode(state: State): T
  }
  const encodings: {
    readonly json: Encoding<unknown>
    readonly buffer: Encoding<Buffer>
    readonly raw: Encoding<Buffer>
    readonly uint: Encoding<number>
    array<T>(item: Encoding<T>): Encoding<T[]>
    encode<T>(encoding: Encoding<T>, value: T): Buffer
    decode<T>(encoding: Encoding<T>, message: Uint8Array): T
  }
  export default encodings
}

declare module 'protomux-rpc' {
  import type { EventEmitter } from 'node:events'
  import type { Duplex } from 'node:stream'
  import type { Encoding } from 'compact-encoding'
  import type Protomux from 'protomux'

  export interface MethodOptions<Request, Response> {
    requestEncoding?: Encoding<Request>
    responseEncoding?: Encoding<Response>
    timeout?: number
  }
  export default class ProtomuxRPC extends EventEmitter {
    constructor(stream: Duplex | Protomux, options?: { protocol?: string })
    readonly closed: boolean
    respond<Request, Response>(
      method: string,
      options: MethodOptions<Request, Response>,
      handler: (value: Request) => Promise<Response> | Response
    ): this
    request<Request, Response>(
      method: string,
      value: Request,
      options?: MethodOptions<Request, Response>
    ): Promise<Response>
    destroy(error?: Error): void
  }
}
