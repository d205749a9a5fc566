/** The same properties; one that may be undefined may be absent instead. */
export type Given<T> = { readonly [Key in keyof T]?: Exclude<T[Key], undefined> }

/** For an object literal from which {@link given} makes a `T`: every property may be undefined. */
export type Optional<T> = { readonly [Key in keyof T]?: T[Key] | undefined }

/** A copy of an object without the properties that are undefined, as for options that are left out. */
export function given<T extends object>(values: T): Given<T> {
  const entries = Object.entries(values).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as Given<T>
}
