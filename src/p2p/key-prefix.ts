/** Fewer characters than this are no part of a key that anybody wrote down. */
const LEAST_PREFIX = 4
const PREFIX = /^[ybndrfg8ejkmcpqxot1uwisza345h769]{1,52}$/

/**
 * The images that a text means: those of that name; else those whose key begins so.
 *
 * @param text a name, or at least four characters of a key
 * @param facts the name of an image and its key in z-base-32
 */
export function imagesMeant<T>(
  images: readonly T[],
  text: string,
  facts: (image: T) => { readonly name: string; readonly key: string }
): T[] {
  const named = images.filter((image) => facts(image).name === text)
  if (named.length > 0 || !isKeyPrefix(text)) return named
  return images.filter((image) => facts(image).key.startsWith(text))
}

/** Whether a text may be the beginning of a key, or all of it. */
export function isKeyPrefix(text: string): boolean {
  return text.length >= LEAST_PREFIX && PREFIX.test(text)
}
