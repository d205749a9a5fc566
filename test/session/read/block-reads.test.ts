import test from 'brittle'
import { ContainerError } from '../../../src/core/errors.ts'
import { BlockReads } from '../../../src/session/read/block-reads.ts'

const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

interface Request {
  readonly block: number
  readonly sinceMs?: number
  readonly timeoutMs?: number | undefined
  readonly settle: PromiseWithResolvers<Buffer>
}

/** The requests for blocks, which are answered when a test says so. */
class Requests {
  readonly ahead: Request[] = []
  readonly waited: Request[] = []

  readonly readAhead = (block: number): Promise<Buffer> => {
    const request = { block, settle: withResolvers() }
    this.ahead.push(request)
    return request.settle.promise
  }

  readonly readMounted = (
    block: number,
    options: { readonly sinceMs: number; readonly timeoutMs: number | undefined }
  ): Promise<Buffer> => {
    const request = { block, ...options, settle: withResolvers() }
    this.waited.push(request)
    return request.settle.promise
  }
}

interface PromiseWithResolvers<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: Error) => void
}

/** Node.js 20 has no Promise.withResolvers. */
function withResolvers(): PromiseWithResolvers<Buffer> {
  let resolve: (value: Buffer) => void = () => {}
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<Buffer>((onValue, onError) => {
    resolve = onValue
    reject = onError
  })
  return { promise, resolve, reject }
}

void test('a block that came ahead is given once, without a request', async (t) => {
  const requests = new Requests()
  using reads = new BlockReads(requests, 1000)
  reads.fetchAhead([4, 5], undefined)
  requests.ahead[0]?.settle.resolve(Buffer.from('four'))
  await settled()
  t.is(String(await reads.read(4)), 'four')
  t.ok(reads.cameAhead(4))
  t.is(requests.waited.length, 0, 'nobody had to wait')

  const again = reads.read(4)
  t.alike(
    [...reads.waiting].map(({ block, hasFailed }) => ({ block, hasFailed })),
    [{ block: 4, hasFailed: false }],
    'the next read of it waits'
  )
  requests.waited[0]?.settle.resolve(Buffer.from('4'))
  t.is(String(await again), '4')
  t.is([...reads.waiting].length, 0)
})

void test('a block that stays on its way is requested, and the sooner of both answers counts', async (t) => {
  const requests = new Requests()
  using reads = new BlockReads(requests, undefined)
  reads.fetchAhead([7], undefined)
  const waits = new Promise<void>((resolve) => (reads.onWait = resolve))
  const read = reads.read(7)
  t.is(requests.waited.length, 0, 'not at once')
  await waits
  t.is(requests.waited[0]?.block, 7)
  requests.ahead[0]?.settle.resolve(Buffer.from('ahead'))
  t.is(String(await read), 'ahead')
})

void test('a block that nobody delivered stays requested, and the next read shares its time-out', async (t) => {
  const requests = new Requests()
  using reads = new BlockReads(requests, 1000)
  const read = reads.read(3)
  requests.waited[0]?.settle.reject(new ContainerError('PEERS_UNREACHABLE', 'nobody has it'))
  await t.exception(read, /nobody has it/)
  t.alike(
    [...reads.waiting].map(({ block, hasFailed }) => ({ block, hasFailed })),
    [{ block: 3, hasFailed: true }]
  )
  t.is(requests.waited[1]?.timeoutMs, undefined, 'for as long as it takes')

  const again = reads.read(3)
  t.is(requests.waited[2]?.sinceMs, requests.waited[0]?.sinceMs)
  requests.waited[1]?.settle.resolve(Buffer.from('three'))
  requests.waited[2]?.settle.resolve(Buffer.from('three'))
  t.is(String(await again), 'three')
  await settled()
  t.is([...reads.waiting].length, 0, 'the loss is over')
})
