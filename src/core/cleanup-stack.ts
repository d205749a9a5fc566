/** Undoes steps in reverse order; one that fails does not keep the others from being undone. */
export class CleanupStack {
  readonly #steps: (() => PromiseLike<void> | void)[] = []

  /** Remembers how to undo what was just done. */
  defer(step: () => PromiseLike<void> | void): void {
    this.#steps.push(step)
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
    await cleanup.undo()
    throw error
  }
  const errors = await cleanup.undo()
  if (errors.length > 0) throw errors[0]
  return result
}
