/**
 * What a terminal obeys, what turns text around, and what begins a new line: control characters (C0, DEL, C1),
 * marks of direction, separators of lines and paragraphs.
 */
export const UNSAFE_CHARACTERS = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/u
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu
/** C0 has been escaped by `JSON.stringify`; line breaks between fields stay. */
const UNSAFE_IN_JSON = /[\u007f-\u009f\p{Zl}\p{Zp}\p{Bidi_Control}]/gu
/** A link's key and version, and its secret; z-base-32 has 52 characters, hex 64. */
const FULL_LINK = /\b([a-z0-9]{52}(?:[a-z0-9]{12})?(?:@\d+)?)\/?#[a-z0-9]{52}(?:[a-z0-9]{12})?\b/gi

/** Text from elsewhere must not drive the terminal, nor break the line, nor show other text than it has. */
export function printable(text: string): string {
  return text.replace(UNSAFE, '?')
}

/** A JSON document with the same content, in which nothing drives a terminal. */
export function printableJson(document: string): string {
  return document.replace(
    UNSAFE_IN_JSON,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  )
}

/** Text in which links are mirror links: nobody can read an image by what it shows. */
export function withoutSecrets(text: string): string {
  return text.includes('#') ? text.replace(FULL_LINK, '$1') : text
}
