import { ContainerError } from './errors.ts'

/** The error of everything that is wrong with an archive. One line, whatever the names in it hold. */
export function badArchive(message: string, hint?: string, cause?: unknown): ContainerError {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  const line = message.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
  return new ContainerError('BAD_SOURCE', `bad archive: ${line}`, {
    hint: hint ?? 'the archive is damaged or incomplete; make or fetch it again',
    ...(cause === undefined ? {} : { cause })
  })
}
