import type { Check } from './doctor-check.ts'

/**
 * Looks whether this machine lacks something without which no container runs.
 *
 * @returns what it lacks and what mends it, to be told behind an error; undefined where it lacks nothing, as the
 *   reason then is another one
 */
export async function lackHint(): Promise<string | undefined> {
  const { examineForContainers } = await import('./doctor.ts')
  return describeLack(await examineForContainers())
}

/** {@link lackHint} of what was found. */
export function describeLack(checks: readonly Check[]): string | undefined {
  const lacks = checks.filter(({ ok }) => ok === 'no')
  if (lacks.length === 0) return undefined
  const [first] = lacks
  if (lacks.length > 1 || first === undefined) {
    const names = lacks.map(({ name }) => name).join(', ')
    return `this machine lacks ${names}; dat-container doctor tells how to fix that`
  }
  const { name, detail, remedy } = first
  return `this machine lacks ${name}: ${detail}${remedy === '' ? '' : `; mend it: ${remedy}`}`
}
