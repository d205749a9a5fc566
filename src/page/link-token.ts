const KEY = 'token'
const GIVEN = /^#token=([\w-]+)$/

/**
 * Takes the token from the address, where it does not stay: a bookmark or a screenshot is not to have it. It is kept for this tab
 * alone.
 *
 * @returns undefined where the address has none
 */
export function takeToken(): string | undefined {
  const [, given] = GIVEN.exec(location.hash) ?? []
  if (given === undefined) return undefined
  sessionStorage.setItem(KEY, given)
  history.replaceState(null, '', location.pathname)
  return given
}

/** The token that this tab has. */
export function keptToken(): string | undefined {
  return sessionStorage.getItem(KEY) ?? undefined
}
