/**
 * Undoes steps in reverse order, each once; one that fails does not keep the others from being undone. Disposing
 * undoes all and throws the first failure.
 */
export class CleanupStack implements AsyncDisposable {
  readonly #steps: (() => PromiseLike<void> | void)[] = []

  /** Remembers how to undo what was just done. */
  defer(step: () => PromiseLike<void> | void): void {
    this.#steps.push(step)
  }

  /** Takes over a resource: it is disposed of when its turn comes. */
  hold(resource: AsyncDisposable): void {
    this.defer(() => resource[Symbol.asyncDispose]())
  }

  /** @returns the errors of the steps, after all have run */
  async undo(): Promise<unknown[]> {
    const errors: unknown[] = []
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        await step()
      } catch (error) {
        errors.push(error)
      }
    }
    return errors
  }

  /** Undoes all because of `reason`. @returns `reason`, which stays the error to throw */
  async undoAfter(reason: unknown): Promise<unknown> {
    await this.undo()
    return reason
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const errors = await this.undo()
    if (errors.length > 0) throw errors[0]
  }
}

/**
 * Runs `body` and undoes what it deferred. An error of `body` is the one that is thrown: unlike with
 * `await using`, one of the undoing does not wrap it and hide its code.
 */
export async function withCleanup<T>(body: (cleanup: CleanupStack) => Promise<T>): Promise<T> {
  const cleanup = new CleanupStack()
  let result: T
  try {
    result = await body(cleanup)
  } catch (error) {
    throw await cleanup.undoAfter(error)
  }
  await cleanup[Symbol.asyncDispose]()
  return result
}
