/** Runs one container in the foreground, as the CLI will; options as JSON in the environment. */
import { isContainerError } from '../../src/core/errors.ts'
import { runContainer } from '../../src/boot/runner/runner.ts'
import { ImageReference } from '../../src/p2p/link.ts'

const options = JSON.parse(process.env['DAT_CONTAINER_TEST_OPTIONS'] ?? '{}')
const container = { ...options, link: ImageReference.parse(options.link) }
const codes: Record<string, number> = { COMMAND_NOT_EXECUTABLE: 126, COMMAND_NOT_FOUND: 127 }

try {
  const { exitCode } = await runContainer({ container, console: 'inherit' })
  process.exitCode = exitCode
} catch (error) {
  const code = isContainerError(error) ? error.code : 'unforeseen'
  process.stderr.write(`${code}: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = codes[code] ?? 125
}
