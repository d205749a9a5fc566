/**
 * Runs a bundled program: its scripts are loaded here and not by Node.js, so that what V8 compiled of them
 * when the program ran before is used again. `dist/PROGRAM.js` calls this.
 */
import { createHash } from 'node:crypto'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { Script } from 'node:vm'
import { verbOf } from './command-verb.ts'
import { hideArguments } from './hide-arguments.ts'
import { readCompiledCode, writeCompiledCode, type CompiledCode } from './compiled-code.ts'

/** For root alone, who starts containers. */
const ROOTS_DIRECTORY = '/var/cache/dat-container/code'
const DIRECTORY_VARIABLE = 'DAT_CONTAINER_CODE_CACHE'
/** What a program needs to start has been compiled by then. */
const SETTLED_MS = 3_000
/** Verbs whose start somebody waits for; each loads other scripts, and so has a file of its own. */
const KEPT_VERBS = new Set([
  ...['boot', 'exec', 'ps', 'stop', 'rm', 'logs', 'inspect', 'stats'],
  ...['share', 'pull']
])

const NOTHING: CompiledCode = { scripts: new Map(), isPartial: false }

type Wrapper = (
  exports: unknown,
  require: (name: string) => unknown,
  module: { exports: unknown },
  fileName: string,
  folder: string,
  fileUrl: string
) => void

interface LoadedScript {
  readonly script: Script
  readonly identity: string
}

/**
 * Runs a program that `scripts/bundle.ts` made.
 *
 * @param folder of the bundles
 * @param entry file name of its first script
 * @param program what the compiled code is kept for; undefined keeps none
 */
export function run(folder: string, entry: string, program: string | undefined): void {
  // Before all else: until then, every user of this machine can read them.
  if (program === 'main') hideArguments()
  new Loader(folder, program && keptAt(folder, program)).load(`./${entry}`)
}

class Loader {
  readonly #folder: string
  readonly #keptAt: string | undefined
  #kept: CompiledCode
  readonly #modules = new Map<string, { exports: unknown }>()
  /** Scripts whose code V8 is asked for, unless it is kept for good. */
  readonly #loaded = new Map<string, LoadedScript>()
  #hasNew = false
  #isSettled = false
  readonly #require: NodeJS.Require

  constructor(folder: string, path: string | undefined) {
    this.#folder = folder
    this.#keptAt = path
    this.#kept = path === undefined ? NOTHING : readCompiledCode(path)
    this.#require = createRequire(join(folder, 'load.cjs'))
    if (path === undefined) return
    setTimeout(() => this.#settle({ isPartial: false }), SETTLED_MS).unref()
    process.once('exit', (exitCode) => this.#settle({ isPartial: exitCode !== 0 }))
  }

  /** `require` of the bundles: their own scripts are asked for by `./NAME`, and nothing else is. */
  load(name: string): unknown {
    if (!name.startsWith('./')) return this.#require(name)
    const known = this.#modules.get(name)
    if (known !== undefined) return known.exports
    const module = { exports: {} }
    this.#modules.set(name, module)
    const path = join(this.#folder, name)
    const wrapper = this.#compile(name, path)
    const require = Object.assign((wanted: string) => this.load(wanted), {
      resolve: this.#require.resolve
    })
    wrapper(module.exports, require, module, path, this.#folder, pathToFileURL(path).href)
    return module.exports
  }

  #compile(name: string, path: string): Wrapper {
    const { text, identity } = readScript(path)
    const kept = this.#kept.scripts.get(name)
    const code = kept?.identity === identity ? kept.code : undefined
    const source = `(function (exports, require, module, __filename, __dirname, __bundleUrl) {${text}\n})`
    const script = new Script(source, { filename: path, ...(code && { cachedData: code }) })
    const isNew = code === undefined || script.cachedDataRejected === true
    if (this.#isSettled) return script.runInThisContext() as Wrapper
    if (isNew || this.#kept.isPartial) this.#loaded.set(name, { script, identity })
    if (isNew) this.#hasNew = true
    return script.runInThisContext() as Wrapper
  }

  /** Keeps what there is to keep, and holds nothing any more that only a start needs. */
  #settle({ isPartial }: Pick<CompiledCode, 'isPartial'>): void {
    const isBetter = this.#hasNew || (this.#kept.isPartial && !isPartial)
    if (this.#keptAt !== undefined && isBetter && this.#loaded.size > 0) {
      const scripts = new Map(this.#kept.scripts)
      for (const [name, { script, identity }] of this.#loaded) {
        scripts.set(name, { identity, code: script.createCachedData() })
      }
      writeCompiledCode(this.#keptAt, { scripts, isPartial })
    }
    this.#kept = NOTHING
    this.#loaded.clear()
    this.#hasNew = false
    // What comes now is compiled as it comes.
    this.#isSettled = true
  }
}

/** Undefined where nothing is kept. */
function keptAt(folder: string, program: string): string | undefined {
  const directory =
    process.env[DIRECTORY_VARIABLE] ?? (process.getuid?.() === 0 ? ROOTS_DIRECTORY : undefined)
  if (directory === undefined || directory === '') return undefined
  const [verb = ''] = verbOf(process.argv.slice(2))
  if (program === 'main' && !KEPT_VERBS.has(verb)) return undefined
  const installation = createHash('sha256').update(folder).digest('hex').slice(0, 12)
  return join(directory, `${program}${program === 'main' ? `-${verb}` : ''}-${installation}`)
}

function readScript(path: string): { text: string; identity: string } {
  const descriptor = openSync(path, 'r')
  try {
    const { size, mtimeMs } = fstatSync(descriptor)
    // Bundles are of ASCII alone, which latin1 reads without looking for more.
    return { text: readFileSync(descriptor, 'latin1'), identity: `${size} ${mtimeMs}` }
  } finally {
    closeSync(descriptor)
  }
}
