import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { imagesInUse } from '../../src/home/images-in-use.ts'

function places(t: { teardown: (end: () => void) => void }) {
  const directory = mkdtempSync(join(tmpdir(), 'dat-in-use-'))
  t.teardown(() => rmSync(directory, { recursive: true }))
  const paths = { home: join(directory, 'home'), runtime: join(directory, 'run') }
  const write = (path: string, value: unknown): void => {
    mkdirSync(join(directory, path, '..'), { recursive: true })
    writeFileSync(join(directory, path), typeof value === 'string' ? value : JSON.stringify(value))
  }
  return { paths, write }
}

void test('containers, stopped or running, and mounts use their images', async (t) => {
  const { paths, write } = places(t)
  t.alike([...(await imagesInUse(paths))], [], 'a home without any')
  write('home/containers/stopped/config.json', { formatVersion: 1, key: 'one', name: 'stopped' })
  write('run/containers/ephemeral/state.json', { key: 'two', state: 'running' })
  write('run/mounts/three-1-auto/state.json', { key: 'three', pid: 1 })
  // One that is being made, and has its image open meanwhile.
  mkdirSync(join(paths.home, 'containers', 'starting'))
  mkdirSync(join(paths.runtime, 'mounts', 'starting'))
  t.alike([...(await imagesInUse(paths))].sort(), ['one', 'three', 'two'])
})

void test('a container whose image cannot be told makes it unknown', async (t) => {
  const { paths, write } = places(t)
  const path = 'home/containers/web/config.json'
  for (const damaged of ['', 'not JSON', { formatVersion: 1 }, { formatVersion: 2, key: 'one' }]) {
    write(path, damaged)
    await t.exception(imagesInUse(paths), /cannot tell which image/)
  }
  rmSync(join(paths.home, 'containers', 'web', 'config.json'))
  mkdirSync(join(paths.home, 'containers', 'web', 'upper'))
  await t.exception(imagesInUse(paths), /cannot tell which image/, 'also where it is gone')
  rmSync(join(paths.home, 'containers', 'web', 'upper'), { recursive: true })
  t.alike([...(await imagesInUse(paths))], [])
})
