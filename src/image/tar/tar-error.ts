import { ContainerError } from '../../core/errors.ts'

/** The error of everything that is wrong with an archive. One line, whatever the names in it hold. */
export function badArchive(message: string, hint?: string, cause?: unknown): ContainerError {
  return new ContainerError('BAD_SOURCE', `bad archive: ${oneLine(message)}`, {
    hint: hint ?? 'the archive is damaged or incomplete; make or fetch it again',
    ...(cause === undefined ? {} : { cause })
  })
}

/** Text with names in it that someone else chose, as one line. */
export function oneLine(text: string): string {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?')
}
