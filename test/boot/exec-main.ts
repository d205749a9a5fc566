/** Runs one command in a container, as the CLI will; options as JSON in the environment. */
import { execInContainer } from '../../src/boot/containers/exec.ts'

const options = JSON.parse(process.env['DAT_CONTAINER_TEST_OPTIONS'] ?? '{}')
process.exitCode = await execInContainer(options)
