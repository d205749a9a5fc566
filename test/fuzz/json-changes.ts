import * as fc from 'fast-check'

/** Values that stand where another type, or a number in bounds, belongs. */
const odd = fc.oneof(
  fc.constantFrom(null, true, -1, 0.5, 1e300, 2 ** 53, -0, '', '\0', '../..', '\u001b[2J', [], {}),
  fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<unknown>
)

const PLACES = 2 ** 16

export interface JsonChange {
  /** As a share of the places there are, so that one change fits any document. */
  readonly place: number
  readonly value: unknown
  /** The place is taken away. */
  readonly isGone: boolean
}

const change: fc.Arbitrary<JsonChange> = fc.record({
  place: fc.nat(PLACES - 1),
  value: odd,
  isGone: fc.boolean()
})
export const jsonChanges = fc.array(change, { minLength: 1, maxLength: 3 })

/** A document in which values are of another kind, or gone. */
export function changedJson(text: string, changes: readonly JsonChange[]): string {
  const document = JSON.parse(text) as object
  const places = placesOf(document)
  for (const { place, value, isGone } of changes) {
    replace(document, places[Math.floor((place / PLACES) * places.length)]!, value, isGone)
  }
  return JSON.stringify(document)
}

type Place = readonly string[]

function placesOf(value: unknown, place: Place = []): Place[] {
  if (typeof value !== 'object' || value === null) return [place]
  const below = Object.entries(value).flatMap(([key, inner]) => placesOf(inner, [...place, key]))
  return place.length === 0 ? below : [place, ...below]
}

function replace(document: object, place: Place, value: unknown, isGone: boolean): void {
  let at = document as Record<string, unknown>
  for (const key of place.slice(0, -1)) {
    const next = at[key]
    if (typeof next !== 'object' || next === null) return
    at = next as Record<string, unknown>
  }
  if (isGone) delete at[place.at(-1)!]
  else at[place.at(-1)!] = structuredClone(value)
}
