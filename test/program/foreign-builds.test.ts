import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'brittle'
import { removeForeignBuilds } from '../../src/program/foreign-builds.ts'

const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
const OWN = `${process.platform}-${process.arch}`
const ADDONS = ['rocksdb-native', 'sodium-native', 'udx-native']

/** The package as npm lays it out for all users of a machine; files of modules are linked, as they are large. */
function layOut(directory: string): string {
  const folder = join(directory, 'lib/node_modules/dat-container')
  mkdirSync(folder, { recursive: true })
  cpSync(join(ROOT, 'dist'), join(folder, 'dist'), { recursive: true })
  cpSync(join(ROOT, 'package.json'), join(folder, 'package.json'))
  execFileSync('cp', ['-al', join(ROOT, 'node_modules'), join(folder, 'node_modules')])
  return folder
}

/** Beside the modules, on whose file system files can be linked. */
function temporaryDirectory(): Disposable & { readonly path: string } {
  mkdirSync(join(ROOT, '.cache'), { recursive: true })
  const path = mkdtempSync(join(ROOT, '.cache/installed-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

function buildsIn(folder: string, name: string): string {
  return join(folder, 'node_modules', name, 'prebuilds')
}

void test('an installation ends without builds of other systems, and what it installed runs', (t) => {
  using directory = temporaryDirectory()
  const folder = layOut(directory.path)
  for (const name of ADDONS) t.ok(existsSync(join(buildsIn(folder, name), 'win32-x64')), name)
  const { scripts } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as {
    scripts: { postinstall: string }
  }
  execFileSync('sh', ['-c', scripts.postinstall], { cwd: folder })
  for (const name of ADDONS) {
    const builds = buildsIn(folder, name)
    t.ok(existsSync(join(builds, OWN)), `${name} for this system`)
    t.absent(existsSync(join(builds, 'win32-x64')), `${name} for no other`)
  }
  const require = createRequire(join(folder, 'dist/main.js'))
  for (const name of ADDONS) t.ok(require(name), `${name} loads`)
  const home = join(directory.path, 'home')
  mkdirSync(home, { mode: 0o700 })
  const environment = {
    ...process.env,
    DAT_CONTAINER_HOME: home,
    DAT_CONTAINER_BOOTSTRAP: '127.0.0.1:9'
  }
  const run = (...words: string[]): string =>
    execFileSync(process.execPath, [join(folder, 'dist/main.js'), ...words], {
      env: environment,
      encoding: 'utf8'
    })
  try {
    run('daemon', 'start')
    t.ok(run('images').includes('NAME'), 'with the store and the swarm of what is left')
  } finally {
    run('daemon', 'stop')
  }
  t.ok(existsSync(join(buildsIn(ROOT, 'rocksdb-native'), 'win32-x64')), 'a working copy keeps all')
})

void test('modules that others may use are left alone', (t) => {
  using directory = temporaryDirectory()
  const shared = join(directory.path, 'project/node_modules/other/prebuilds/win32-x64')
  const copy = join(directory.path, 'copy/node_modules/other/prebuilds/win32-x64')
  const own = join(directory.path, 'project/node_modules/dat-container/node_modules')
  const nested = join(own, '@scope/one/node_modules/two/prebuilds/win32-x64')
  const kept = join(own, 'three/prebuilds/linux-x64')
  for (const path of [shared, copy, nested, kept]) mkdirSync(path, { recursive: true })
  t.alike(removeForeignBuilds(join(directory.path, 'copy'), 'linux-x64'), [], 'of a working copy')
  t.alike(removeForeignBuilds(join(own, '..'), 'linux-x64'), [nested])
  t.alike(
    [shared, copy, nested, kept].map((path) => existsSync(path)),
    [true, true, false, true]
  )
})
