import { InvalidArgumentError, type Command, type Option } from 'commander'
import { ContainerError } from '../../core/errors.ts'
import { durationMs, durationOption } from './arguments.ts'

/** How long to look for peers where no option says so. */
const VARIABLE = 'DAT_CONTAINER_PEER_TIMEOUT'
/** In milliseconds, where nothing says so. */
export const DEFAULT_PEER_TIMEOUT_MS = 30_000
const ATTRIBUTE = 'peerTimeout'

/** The option of all verbs that look for peers. */
export function peerTimeoutOption(): Option {
  return durationOption(
    '--peer-timeout <duration>',
    'how long to look for peers: seconds, or a number with ms, s, m or h',
    DEFAULT_PEER_TIMEOUT_MS
  )
}

/**
 * Takes the time-out of the environment, which configuration files set, where the command line has none. That is read
 * before a verb is carried out, so that help is there in spite of it.
 */
export function hookPeerTimeout(program: Command): void {
  program.hook('preAction', (_program, command) => {
    const given = process.env[VARIABLE]
    if (
      given === undefined ||
      given === '' ||
      command.getOptionValueSource(ATTRIBUTE) !== 'default'
    )
      return
    try {
      command.setOptionValueWithSource(ATTRIBUTE, parsePeerTimeout(given), 'env')
    } catch (cause) {
      const { message, hint } = cause as ContainerError
      throw new ContainerError('USAGE', `${VARIABLE}: ${message}`, { hint, cause })
    }
  })
}

/**
 * Reads a duration as `--peer-timeout` does.
 *
 * @returns milliseconds
 * @throws ContainerError `USAGE`
 */
export function parsePeerTimeout(text: string): number {
  try {
    return durationMs(text)
  } catch (cause) {
    if (!(cause instanceof InvalidArgumentError)) throw cause
    throw new ContainerError('USAGE', `not a duration: ${JSON.stringify(text)}`, {
      hint: 'give seconds, or a number with ms, s, m or h',
      cause
    })
  }
}
