import { CleanupStack } from '../../core/cleanup-stack.ts'

/**
 * What has to be undone, in reverse order. A step that fails does not keep the others from running;
 * the first failure is thrown at the end. Steps run once.
 */
export class CleanUpList implements AsyncDisposable {
  readonly #stack = new CleanupStack()

  push(step: () => Promise<void>): void {
    this.#stack.defer(step)
  }

  /** Takes over a resource: it is disposed of when its turn comes. */
  hold(resource: AsyncDisposable): void {
    this.push(async () => resource[Symbol.asyncDispose]())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const errors = await this.#stack.undo()
    if (errors.length > 0) throw errors[0]
  }

  /** Undoes everything because of `reason`, which stays the one to throw. */
  async after(reason: unknown): Promise<unknown> {
    await this[Symbol.asyncDispose]().catch(() => undefined)
    return reason
  }
}
