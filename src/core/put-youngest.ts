/**
 * Puts a value into a map that keeps so many, as the youngest; the one that was put longest ago goes.
 *
 * @returns the key that went; undefined where none had to
 */
export function putYoungest<Key, Value>(
  map: Map<Key, Value>,
  key: Key,
  value: Value,
  most: number
): Key | undefined {
  map.delete(key)
  map.set(key, value)
  const [oldest] = map.size > most ? map.keys() : []
  if (oldest !== undefined) map.delete(oldest)
  return oldest
}
