/** One thing that a machine has or lacks. */
export interface Check {
  readonly name: string
  readonly ok: 'yes' | 'no' | 'partly'
  /** What was found, one line. */
  readonly detail: string
  /** What mends it, one command or sentence; empty when there is nothing to mend. */
  readonly remedy: string
}

export function pass(name: string, detail: string): Check {
  return { name, ok: 'yes', detail, remedy: '' }
}

export function partly(name: string, detail: string, remedy: string): Check {
  return { name, ok: 'partly', detail, remedy }
}

export function fail(name: string, detail: string, remedy: string): Check {
  return { name, ok: 'no', detail, remedy }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error)
}
