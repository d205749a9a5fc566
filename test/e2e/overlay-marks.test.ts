import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { readXattrs } from '../../src/image/source/xattr.ts'
import { setXattr } from '../image/planted-tree.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

const WAYS = ['erofs', 'fuse'].flatMap((mode) =>
  [[], ['--private-users', 'no'], ['--id-mapping', 'served']].map((ids) => [
    '--mount',
    mode,
    ...ids
  ])
)
/** What a process of the container does with all that is there, and what it then sees. */
const LOOK = `set -e
cd /layer
find . -exec stat -c '%n %F' {} + | sort
tar -cf /dev/null .
cp -a . /copy
mv /layer/hidden /layer/moved
chmod 700 /layer/moved
touch /layer/moved/gone
ls /layer/moved
rm -r /layer
`
const SEEN = [
  '. directory',
  './hidden directory',
  './hidden/gone regular empty file',
  './hidden/kept regular file',
  './marked directory',
  './marked/redirected directory',
  './marked/redirected/own regular file',
  './opaque directory',
  './opaque/gone regular empty file',
  'gone',
  'kept'
]

/** A directory as overlayfs writes it for an upper layer, in an image. */
function plantLayer(root: string): void {
  for (const name of ['hidden', 'opaque', 'marked/redirected']) {
    mkdirSync(join(root, 'layer', name), { recursive: true })
  }
  const mark = (path: string, name: string, value: string): void =>
    setXattr(join(root, 'layer', path), `trusted.overlay.${name}`, Buffer.from(value))
  for (const name of ['hidden/gone', 'opaque/gone']) {
    execFileSync('mknod', [join(root, 'layer', name), 'c', '0', '0'])
  }
  writeFileSync(join(root, 'layer/hidden/kept'), 'kept')
  writeFileSync(join(root, 'layer/marked/redirected/own'), 'own')
  mark('opaque', 'opaque', 'y')
  mark('marked/redirected', 'redirect', '/etc')
  mark('marked', 'overlay.opaque', 'y')
}

test('a container shows what its image holds of an overlay', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const tools = ['find', 'stat', 'sort', 'tar', 'cp', 'mv', 'chmod', 'touch', 'rm']
  const rootfs = tinyRootfs(mkdtempSync(join(sandbox.directory, 'tiny-')), tools)
  plantLayer(rootfs)
  await machine.ok('share', rootfs, '--name', 'layers')
  for (const way of WAYS) {
    const own = ['--', '/bin/sh', '-c', LOOK]
    const { exitCode, stdout, stderr } = await machine.run(
      'boot',
      'layers',
      '--ephemeral',
      ...way,
      ...own
    )
    t.is(exitCode, 0, `${way.join(' ')}: ${stderr}`)
    t.alike(stdout.split('\n'), SEEN, way.join(' '))
  }
})

test(
  'what an image holds of an overlay means nothing to that of its container',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('machine')
    const rootfs = tinyRootfs(mkdtempSync(join(sandbox.directory, 'tiny-')))
    plantLayer(rootfs)
    await machine.ok('share', rootfs, '--name', 'layers')
    for (const [mode, ids] of [
      ['erofs', 'auto'],
      ['fuse', 'no'],
      // The second time, from what was kept of the first where something is.
      ['erofs', 'no']
    ] as const) {
      const way = ['--mount', mode, '--private-users', ids]
      const sleeper = ['--name', 'up', '--rm', '--detach', ...way, '--', '/bin/sleep', '600']
      await machine.ok('boot', 'layers', ...sleeper)
      const { rootfs: merged } = await machine.json<{ rootfs: string }>('inspect', 'up')
      const attributes = (path: string): string[] =>
        readXattrs(Buffer.from(join(merged, 'layer', path)))
          .map(({ name, value }) => `${name.toString()}=${value.toString()}`)
          .filter((text) => text.startsWith('trusted.overlay.'))
      t.alike(attributes('opaque'), ['trusted.overlay.opaque=y'], `${mode}: as the image has it`)
      t.alike(attributes('marked'), ['trusted.overlay.overlay.opaque=y'])
      t.alike(attributes('marked/redirected'), ['trusted.overlay.redirect=/etc'])
      t.exception(() => statSync(join(merged, 'layer/marked/redirected/passwd')), /ENOENT/)

      // An overlay on top, as a container engine in the container mounts it.
      const below = mkdtempSync(join(sandbox.directory, 'below-'))
      for (const name of ['hidden', 'opaque']) {
        mkdirSync(join(below, name))
        for (const file of ['gone', 'other']) writeFileSync(join(below, name, file), 'below')
      }
      const nested = mkdtempSync(join(sandbox.directory, 'nested-'))
      const option = `lowerdir=${merged}/layer:${below}`
      execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', option, nested])
      try {
        const list = (name: string): string =>
          execFileSync('ls', [join(nested, name)])
            .toString()
            .replaceAll('\n', ' ')
        t.is(list('hidden'), 'kept other ', `${mode}: a whiteout hides`)
        t.is(list('opaque').replace('gone ', ''), '', 'an opaque directory hides all')
      } finally {
        execFileSync('umount', [nested])
      }
      await machine.ok('rm', '--force', 'up')
    }
  }
)
