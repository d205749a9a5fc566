import { isContainerError } from '../../core/errors.ts'
import { exitStatus } from './exit-status.ts'
import { printError, type Output } from './output.ts'

/**
 * Does something for each of several things that a command names. What fails for one is printed, and the others are
 * done all the same; the exit status is that of the first failure.
 *
 * @throws what fails for the only one
 */
export async function eachOf<Name, T>(
  names: readonly Name[],
  output: Output,
  work: (name: Name) => Promise<T>
): Promise<T[]> {
  const done: T[] = []
  let status = 0
  for (const name of names) {
    try {
      done.push(await work(name))
    } catch (error) {
      if (names.length === 1 || !isContainerError(error)) throw error
      printError(error, output.json)
      status ||= exitStatus(error.code)
    }
  }
  if (status !== 0) process.exitCode = status
  return done
}
