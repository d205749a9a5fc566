/**
 * Loaded before a program (`--import`): it then believes to be on the system of `DAT_TEST_PLATFORM`, and has no
 * modules for Linux. Each attempt to load one is appended to the file `DAT_TEST_ASKED`.
 */
import { appendFileSync } from 'node:fs'
import Module, { createRequire } from 'node:module'
import { isMainThread } from 'node:worker_threads'
import { LINUX_MODULES, PORTABLE_ADDONS } from './platform-modules.ts'

type Resolve = (request: string, ...rest: unknown[]) => string

const { DAT_TEST_PLATFORM: platform, DAT_TEST_ASKED: asked = '' } = process.env
const loader = Module as unknown as { _resolveFilename: Resolve }
const resolve = loader._resolveFilename

// Their parts for the other system would not load here: these stand for them.
const require = createRequire(new URL('../../../dist/main.js', import.meta.url))
for (const name of isMainThread ? PORTABLE_ADDONS : []) require(name)

if (platform !== undefined) Object.defineProperty(process, 'platform', { value: platform })
loader._resolveFilename = (request, ...rest) => {
  const name = request.split('/')[0] ?? ''
  if (!LINUX_MODULES.includes(name)) return resolve(request, ...rest)
  appendFileSync(asked, `${name}\n`)
  throw Object.assign(new Error(`Cannot find module '${request}'`), { code: 'MODULE_NOT_FOUND' })
}
