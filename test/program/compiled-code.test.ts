import { execFile } from 'node:child_process'
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'brittle'
import { readCompiledCode, writeCompiledCode } from '../../src/program/compiled-code.ts'

const run = promisify(execFile)
const DIST = fileURLToPath(new URL('../../../dist', import.meta.url))
const KEPT = {
  scripts: new Map([['./a.cjs', { identity: '1', code: Buffer.from('what V8 made of it') }]]),
  isPartial: true
}

async function scratch(t: { teardown(work: () => Promise<void>): void }): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'dat-container-code-'))
  t.teardown(async () => rm(directory, { recursive: true, force: true }))
  return directory
}

void test('compiled code is read as it was written, or not at all', async (t) => {
  const directory = await scratch(t)
  const path = join(directory, 'deep/program')
  t.is(readCompiledCode(path).scripts.size, 0, 'none is none')
  writeCompiledCode(path, KEPT)
  t.alike(readCompiledCode(path), KEPT)
  t.alike(await readdir(join(directory, 'deep')), ['program'], 'nothing beside it')

  const whole = await readFile(path)
  for (const damaged of [
    whole.subarray(0, -1),
    whole.subarray(0, 20),
    Buffer.alloc(0),
    Buffer.alloc(whole.length),
    Buffer.concat([whole, Buffer.from('x')])
  ]) {
    await writeFile(path, damaged)
    t.is(readCompiledCode(path).scripts.size, 0, `${damaged.length} bytes of it`)
  }
  await writeFile(path, whole)
  await chmod(join(directory, 'deep'), 0o777)
  t.is(readCompiledCode(path).scripts.size, 0, 'where others may write, it is not believed')
})

void test('a command runs with kept code, with damaged and with none', async (t) => {
  const directory = await scratch(t)
  const environment = { DAT_CONTAINER_CODE_CACHE: join(directory, 'code') }
  const help = async (env: Record<string, string>): Promise<string> => {
    const args = [join(DIST, 'main.js'), 'logs', '--help']
    const { stdout } = await run(process.execPath, args, { env: { ...process.env, ...env } })
    return stdout
  }
  const expected = await help({ DAT_CONTAINER_CODE_CACHE: '' })
  t.is(await help(environment), expected, 'the run that keeps it')
  const [kept = ''] = await readdir(join(directory, 'code'))
  t.is(await help(environment), expected, 'the run that uses it')
  const path = join(directory, 'code', kept)
  const bytes = await readFile(path)
  const middle = bytes.length >> 1
  bytes.fill(0x55, middle, middle + 4096)
  await writeFile(path, bytes)
  t.is(await help(environment), expected, 'damaged code is not run')
  t.unlike(await readFile(path), bytes, 'and is replaced')
})
