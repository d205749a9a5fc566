import { constants } from 'node:os'
import { fuseErrno } from '../linux/errno.ts'
import { OUT_HEADER_BYTES } from './fuse-protocol.ts'
import { errorAnswer, writeHeader } from './fuse-reply.ts'
import type { RequestHeader } from './fuse-request.ts'
import { PendingReads } from './pending-reads.ts'

const { EINTR } = constants.errno

/** Answers reads of content when it has arrived, or with an error when the reading process is being killed. */
export class ContentAnswers {
  readonly #pending = new PendingReads()

  /**
   * @param count bytes of the answer
   * @param fill puts them into its target, later or never
   */
  async answer(
    { unique, pid }: RequestHeader,
    count: number,
    fill: (target: Uint8Array) => Promise<void>,
    send: (answer: Buffer) => void
  ): Promise<void> {
    const answer = Buffer.allocUnsafeSlow(OUT_HEADER_BYTES + count)
    // Not in `answer`: content may still be on its way into that.
    const fail = (error: number): void => send(errorAnswer(unique, error))
    this.#pending.add(unique, pid, () => fail(-EINTR))
    try {
      await fill(answer.subarray(OUT_HEADER_BYTES))
    } catch (error) {
      if (this.#pending.remove(unique)) fail(fuseErrno(error))
      return
    }
    if (!this.#pending.remove(unique)) return
    writeHeader(answer, unique, answer.length, 0)
    send(answer)
  }

  /** Notes that the process that waits for the answer to `unique` got a signal. */
  interrupt(unique: bigint): void {
    void this.#pending.interrupt(unique)
  }
}
