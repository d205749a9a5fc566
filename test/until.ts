import { setTimeout as sleep } from 'node:timers/promises'

/** What is used here of the `t` of a test; brittle's types do not name it. */
interface TestInstance {
  pass(message: string): void
  fail(message: string): void
}

/** A look that starts a program would keep a processor from what is waited for, so that the pause is so many times as long. */
const DEAR_LOOK_PAUSES = 2

export interface UntilOptions {
  /** A bound for what never comes, in milliseconds; nothing is asserted of how long it takes. @default 60000 */
  readonly withinMs?: number
  /** The least pause between two looks, in milliseconds. @default 50 */
  readonly pauseMs?: number
}

/**
 * Waits until something holds, and asserts that it came to hold: one assertion named `what`. Make sure before that it
 * does not hold from the start, or the test shows nothing.
 *
 * @throws Error when it does not hold in time, so that the test goes no further
 */
export async function until(
  t: TestInstance,
  what: string,
  holds: () => boolean | Promise<boolean>,
  { withinMs = 60_000, pauseMs = 50 }: UntilOptions = {}
): Promise<void> {
  const deadline = performance.now() + withinMs
  for (;;) {
    const lookedAt = performance.now()
    if (await holds()) break
    const now = performance.now()
    if (now > deadline) {
      t.fail(what)
      throw new Error(`it never came to hold: ${what}`)
    }
    await sleep(Math.max(pauseMs, DEAR_LOOK_PAUSES * (now - lookedAt)))
  }
  t.pass(what)
}
