const VARIABLE = 'DAT_CONTAINER_LINK'

let link: string | undefined

/** Takes the link out of the environment, so that no program that this one starts has it. */
export function takeLinkVariable(): void {
  link = process.env[VARIABLE]
  delete process.env[VARIABLE]
}

/** The link that the environment held. */
export function linkOfEnvironment(): string | undefined {
  return link === '' ? undefined : link
}
