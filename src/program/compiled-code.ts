import { createHash, randomBytes } from 'node:crypto'
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** What is kept of one script: which one it is, and what V8 made of it. */
export interface KeptScript {
  /** Changes with its content. */
  readonly identity: string
  readonly code: Buffer
}

/** What V8 compiled of a program's scripts when it ran before. */
export interface CompiledCode {
  readonly scripts: ReadonlyMap<string, KeptScript>
  /** It was kept by a run that failed, and so may have compiled little: a better one replaces it. */
  readonly isPartial: boolean
}

interface Header extends Pick<CompiledCode, 'isPartial'> {
  /** The program that runs the scripts: V8 refuses another version's code, but may not survive it. */
  readonly runtime: string
  readonly scripts: readonly (readonly [name: string, identity: string, bytes: number])[]
}

const RUNTIME = `${process.version} ${process.versions.v8} ${process.arch}`
const DIGEST_BYTES = 32
const LENGTH_BYTES = 4
const WRITABLE_BY_OTHERS = 0o022

const NONE: CompiledCode = { scripts: new Map(), isPartial: true }

/** @returns no scripts where the file is damaged, of another Node.js, or not there */
export function readCompiledCode(path: string): CompiledCode {
  try {
    const file = readFileSync(path)
    const content = file.subarray(DIGEST_BYTES)
    if (!isOwn(dirname(path)) || !digest(content).equals(file.subarray(0, DIGEST_BYTES))) {
      return NONE
    }
    const headerEnd = LENGTH_BYTES + content.readUInt32LE(0)
    const { runtime, isPartial, scripts } = JSON.parse(
      content.toString('utf8', LENGTH_BYTES, headerEnd)
    ) as Header
    if (runtime !== RUNTIME) return NONE
    let position = headerEnd
    const kept = scripts.map(([name, identity, bytes]): [string, KeptScript] => {
      const code = content.subarray(position, (position += bytes))
      return [name, { identity, code }]
    })
    return { isPartial, scripts: new Map(kept) }
  } catch {
    // It only saves time.
    return NONE
  }
}

/** Keeps what V8 compiled, whole or not at all; where it cannot be written there is none. */
export function writeCompiledCode(path: string, { scripts, isPartial }: CompiledCode): void {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    if (!isOwn(dirname(path))) return
    const header: Header = {
      runtime: RUNTIME,
      isPartial,
      scripts: [...scripts].map(([name, { identity, code }]) => [name, identity, code.length])
    }
    const text = Buffer.from(JSON.stringify(header))
    const length = Buffer.alloc(LENGTH_BYTES)
    length.writeUInt32LE(text.length)
    const content = Buffer.concat([length, text, ...[...scripts.values()].map(({ code }) => code)])
    writeFileSync(temporary, Buffer.concat([digest(content), content]), {
      mode: 0o600,
      flag: 'wx'
    })
    renameSync(temporary, path)
  } catch {
    rmSync(temporary, { force: true })
  }
}

/** Code that another user could have put there is not run. */
function isOwn(directory: string): boolean {
  const { uid, mode } = lstatSync(directory)
  return uid === process.getuid?.() && (mode & WRITABLE_BY_OTHERS) === 0
}

function digest(content: Buffer): Buffer {
  return createHash('sha256').update(content).digest()
}
