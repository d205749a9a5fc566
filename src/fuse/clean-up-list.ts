/**
 * What has to be undone, in reverse order. A step that fails does not keep the others from running;
 * the first failure is thrown at the end. Steps run once.
 */
export class CleanUpList implements AsyncDisposable {
  readonly #steps: (() => Promise<void>)[] = []

  push(step: () => Promise<void>): void {
    this.#steps.push(step)
  }

  /** Takes over a resource: it is disposed of when its turn comes. */
  hold(resource: AsyncDisposable): void {
    this.push(async () => resource[Symbol.asyncDispose]())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = []
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw errors[0]
  }

  /** Undoes everything because of `reason`, which stays the one to throw. */
  async after(reason: unknown): Promise<unknown> {
    await this[Symbol.asyncDispose]().catch(() => undefined)
    return reason
  }
}
