import { setImmediate } from 'node:timers/promises'
import zstd from 'zstd-napi/binding.js'
import { badArchive } from './tar-error.ts'

const OUTPUT_BYTES = 128 * 1024
/** Decompressing is synchronous; other work of the process gets its turn after so many outputs. */
const OUTPUTS_A_TURN = 64
/**
 * The window of a frame is memory that it may ask for: 512 MiB, which is what containerd, skopeo and
 * umoci grant. `zstd --long=30` and `--long=31` ask for more.
 */
const MAX_WINDOW_LOG = 29
const TOO_LARGE_WINDOW = /requires too much memory/

/**
 * Decompresses zstd frames, one after another; what skippable ones hold is passed over. However little input makes however much output, one
 * output buffer is held at a time, and a frame's window of 512 MiB at most.
 *
 * @throws ContainerError `BAD_SOURCE`
 */
export async function* decompressZstd(
  compressed: AsyncIterable<Buffer>
): AsyncGenerator<Uint8Array, void, undefined> {
  const context = new zstd.DCtx()
  context.setParameter(zstd.DParameter.windowLogMax, MAX_WINDOW_LOG)
  let inFrame = false
  let outputs = 0
  for await (let input of compressed) {
    let outputWasFull = false
    while (input.length > 0 || outputWasFull) {
      const output = Buffer.allocUnsafe(OUTPUT_BYTES)
      const [left, produced, consumed] = decompressSome(context, output, input)
      input = input.subarray(consumed)
      inFrame = left !== 0
      outputWasFull = produced === output.length && inFrame
      if (produced > 0) yield output.subarray(0, produced)
      if (++outputs % OUTPUTS_A_TURN === 0) await setImmediate()
    }
  }
  if (inFrame) throw badArchive('its zstd stream ends early')
}

function decompressSome(
  context: InstanceType<typeof zstd.DCtx>,
  output: Buffer,
  input: Buffer
): readonly [left: number, produced: number, consumed: number] {
  try {
    return context.decompressStream(output, input)
  } catch (cause) {
    if (cause instanceof Error && TOO_LARGE_WINDOW.test(cause.message)) throw tooLargeWindow(cause)
    throw badArchive('its zstd stream is damaged', undefined, cause)
  }
}

function tooLargeWindow(cause: Error): Error {
  const most = 2 ** (MAX_WINDOW_LOG - 20)
  return badArchive(
    `its zstd stream has a window of more than ${most} MiB`,
    `compress it again with a smaller one: zstd --long=${MAX_WINDOW_LOG} or less`,
    cause
  )
}
