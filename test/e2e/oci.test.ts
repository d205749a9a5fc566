import { execFileSync } from 'node:child_process'
import { cpSync, createReadStream, mkdirSync, readFileSync } from 'node:fs'
import { readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import test from 'brittle'
import { execa } from 'execa'
import { compareTrees } from '../compare/compare-trees.ts'
import {
  handMadeImage,
  layeredImage,
  putBlob,
  tool,
  unpack,
  writeIndex
} from '../image/oci-images.ts'
import { extract } from '../image/tar-archives.ts'
import { tarOf } from '../image/tar-bytes.ts'
import { Registry } from './registry.ts'
import type { Failure, Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

interface Info {
  readonly source: { readonly kind: string }
  readonly arch: string
}

const OCI = 'application/vnd.oci.image'

test('an image of a registry is mounted, exported and run as what it is', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  await using registry = await Registry.open(join(sandbox.directory, 'registry'))
  const machine = await sandbox.machine('machine')
  const layout = layeredImage(sandbox.directory, tinyRootfs)
  registry.push(layout, 'team/app:1')
  const expected = unpack(layout, join(sandbox.directory, 'bundle'))

  const name = `docker://${registry.host}/team/app:1`
  const flags = ['--insecure-registry', '--authfile', registry.authfile]
  const { link } = await machine.json<Shared>('share', name, ...flags)
  const info = await machine.json<Info>('info', 'app')
  t.is(info.source.kind, 'registry', 'named by its name')

  const mounted = join(sandbox.directory, 'mounted')
  mkdirSync(mounted)
  await machine.ok('mount', link, mounted)
  t.alike(await compareTrees(mounted, expected), [], 'mounted')
  await machine.ok('umount', mounted)
  const archive = join(sandbox.directory, 'out.tar')
  await machine.ok('export', link, 'tar', archive)
  extract(archive, join(sandbox.directory, 'extracted'))
  t.alike(await compareTrees(join(sandbox.directory, 'extracted'), expected), [], 'as tar')

  t.is(
    await machine.ok('boot', link, '--ephemeral'),
    '/srv\n1234\n4321\nhello there',
    'its command'
  )
  const own = ['--', '/bin/sh', '-c', 'echo $GREETING from $PWD; id -u']
  t.is(await machine.ok('boot', link, '--ephemeral', ...own), 'hello there from /srv\n1234')
  const other = ['-w', '/etc', '-u', 'root', '-e', 'GREETING=bye', ...own]
  t.is(await machine.ok('boot', link, '--ephemeral', ...other), 'bye from /etc\n0', 'overridden')

  const nameless = ['-u', '54321:7', '--', '/bin/sh', '-c', 'id -u; id -g; echo $HOME $USER']
  t.is(await machine.ok('boot', link, '--ephemeral', ...nameless), '54321\n7\n/ 54321', 'by number')
  const logs = ['--', '/bin/sh', '-c', 'echo said > /dev/stdout; exec sleep 60']
  await machine.ok('boot', link, '--detach', '--name', 'logs', ...logs)
  while ((await machine.ok('logs', 'logs')) === '') await sleep(100)
  t.is(await machine.ok('logs', 'logs'), 'said', 'its log is its own')
  t.is(await machine.ok('exec', 'logs', '--', 'id', '-u'), '1234', 'exec is who the image says')
  t.is(await machine.ok('exec', '-u', 'root', 'logs', '--', 'id', '-u'), '0')
  await machine.ok('rm', '--force', 'logs')

  const oci = join(sandbox.directory, 'out.oci')
  const { digest } = await machine.json<{ digest: string }>('export', link, 'oci', oci)
  const inspected = JSON.parse(tool('skopeo', 'inspect', `oci-archive:${oci}`)) as {
    Digest: string
  }
  t.is(inspected.Digest, digest, 'as an OCI archive')
  const piped = await machine.start(['export', 'app', 'oci', '-'], { encoding: 'buffer' })
  t.ok(Buffer.from(piped.stdout as Uint8Array).equals(readFileSync(oci)), 'by stdout')
  tool('skopeo', 'copy', '--quiet', `oci-archive:${oci}`, `oci:${sandbox.directory}/again:app`)
  const again = unpack(join(sandbox.directory, 'again'), join(sandbox.directory, 'bundle2'))
  t.alike(await compareTrees(again, expected), [], 'umoci unpacks it')
  const stdin = machine.start(['share', '-', '--name', 'piped'], { stdin: 'pipe' })
  createReadStream(oci).pipe(stdin.stdin!)
  t.is((await stdin).exitCode, 0, 'by stdin')
  t.is((await machine.run('diff', 'app', 'piped')).stdout, '', 'and is the same image')
})

test('what cannot be fetched is said, and leaves nothing', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  await using registry = await Registry.open(join(sandbox.directory, 'registry'))
  const machine = await sandbox.machine('machine')
  registry.push(platforms(join(sandbox.directory, 'layout')), 'app:1')
  const auth = ['--insecure-registry', '--authfile', registry.authfile]
  const name = `docker://${registry.host}/app:1`
  const platform = ['--platform', 'linux/s390x', '--name', 's390x']
  const s390x = await machine.json<Shared>('share', name, ...auth, ...platform)
  t.is((await machine.json<Info>('info', s390x.link)).arch, 's390x', 'by its platform')
  const before = await machine.json<unknown[]>('images')

  const temporary = join(sandbox.directory, 'tmp')
  mkdirSync(temporary)
  const nobody = join(sandbox.directory, 'nobody.json')
  writeFileSync(nobody, '{}')
  const failures: [string, number, string, RegExp, string[]][] = [
    ['another platform', 3, 'NOT_FOUND', /linux\/ppc64le, linux\/s390x/, [name, ...auth]],
    [
      'a platform that is not',
      3,
      'NOT_FOUND',
      /not for linux\/riscv64/,
      [name, ...auth, '--platform', 'linux/riscv64']
    ],
    ['no tag', 3, 'NOT_FOUND', /check the name/, [`docker://${registry.host}/app:2`, ...auth]],
    [
      'no login',
      1,
      'IO',
      /log in with skopeo login/,
      [name, '--insecure-registry', '--authfile', nobody]
    ],
    ['no TLS', 1, 'IO', /--insecure-registry/, [name, '--authfile', registry.authfile]],
    ['no name', 2, 'USAGE', /not an image/, ['docker://-x']],
    ['an option of registries', 2, 'USAGE', /only to registries/, ['/etc', '--insecure-registry']],
    [
      'an option of images',
      2,
      'USAGE',
      /only to container images/,
      ['/etc', '--platform', 'amd64']
    ],
    ['no such layout', 3, 'NOT_FOUND', /there is no/, [`oci:${sandbox.directory}/none`]],
    ['no layout', 5, 'BAD_SOURCE', /not an OCI layout/, ['oci:/etc']]
  ]
  for (const [title, status, code, message, args] of failures) {
    const ran = machine.start(['--json', 'share', ...args], {
      env: environment(sandbox, machine.home)
    })
    const { exitCode, stderr } = await ran
    const { error } = JSON.parse(String(stderr)) as Failure
    t.alike([exitCode, error.code], [status, code], `${title}: ${error.message} (${error.hint})`)
    t.ok(message.test(`${error.message} ${error.hint}`), title)
    t.alike(readdirSync(temporary), [], 'nothing is left')
  }
  const [program, args] = machine.argv('--json', 'share', name, ...auth)
  const env = { ...environment(sandbox, machine.home), PATH: '/nowhere' }
  const missing = await execa(program, args, { env, reject: false })
  t.is((JSON.parse(missing.stderr) as Failure).error.code, 'MISSING_TOOL', 'no skopeo')
  t.ok(missing.stderr.includes('apt install skopeo'))

  registry.freeze()
  const silent = machine.start(['share', name, ...auth], {
    env: environment(sandbox, machine.home)
  })
  while (readdirSync(temporary).length === 0) await sleep(50)
  await sleep(300)
  silent.kill('SIGINT')
  t.is((await silent).exitCode, 130, 'a registry that is silent can be left')
  t.alike(readdirSync(temporary), [], 'nothing is left')
  t.alike(await machine.json('images'), before, 'no image was half-made')
})

test('a damaged image is refused with one line, and leaves nothing', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('machine')
  const layout = layeredImage(sandbox.directory)
  const blobs = join(layout, 'blobs/sha256')
  const largest = execFileSync('ls', ['-S', blobs]).toString().split('\n')[0]!
  const blob = readFileSync(join(blobs, largest))
  for (const [title, content] of [
    ['cut', blob.subarray(0, 500)],
    ['altered', Buffer.concat([blob.subarray(0, -9), Buffer.from('0'), blob.subarray(-8)])]
  ] as const) {
    const damaged = join(sandbox.directory, title)
    cpSync(layout, damaged, { recursive: true })
    writeFileSync(join(damaged, 'blobs/sha256', largest), content)
    const { exitCode, stderr } = await machine.run('share', damaged)
    t.is(exitCode, 5, title)
    t.ok(/^dat-container: bad image: [^\n]*$/.test(stderr), stderr)
  }
  t.alike(await machine.json('images'), [])

  rmSync(join(layout, 'index.json'))
  const half = await machine.run('share', layout)
  t.ok(half.exitCode === 5 && half.stderr.includes('index.json is not in it'), half.stderr)
  const asTar = await machine.run('share', layout, '--as', 'tar')
  t.ok(asTar.exitCode === 2 && asTar.stderr.includes('--as files'), asTar.stderr)
  const { link } = await machine.json<Shared>('share', layout, '--as', 'files')
  t.alike((await machine.ok('ls', link)).split('\n'), ['blobs', 'oci-layout'])
})

function environment(sandbox: Sandbox, home: string): Record<string, string> {
  const TMPDIR = join(sandbox.directory, 'tmp')
  return { ...sandbox.sandboxEnvironment, DAT_CONTAINER_HOME: home, TMPDIR }
}

/** An image for two platforms, neither of which is this one. */
function platforms(layout: string): string {
  const manifests = ['s390x', 'ppc64le'].map((architecture) => {
    const archive = tarOf({ path: architecture, content: architecture })
    const layer = { content: archive, archive, mediaType: `${OCI}.layer.v1.tar` }
    handMadeImage(layout, [layer], { architecture })
    const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as {
      manifests: [object]
    }
    return { ...index.manifests[0], platform: { os: 'linux', architecture } }
  })
  const inner = { schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests }
  const descriptor = putBlob(layout, `${OCI}.index.v1+json`, JSON.stringify(inner))
  writeIndex(layout, JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }))
  return layout
}
