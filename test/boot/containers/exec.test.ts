import test from 'brittle'
import { execFile, spawnSync } from 'node:child_process'
import {
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
  mkdirSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { bootDetached } from '../../../src/boot/runner/boot-detached.ts'
import { containerStats } from '../../../src/boot/containers/container-stats.ts'
import { resolveUser } from '../../../src/boot/nspawn/container-user.ts'
import { stopContainer } from '../../../src/boot/containers/containers.ts'
import { execInContainer, type ExecOptions } from '../../../src/boot/containers/exec.ts'
import { readLogs } from '../../../src/boot/console/logs.ts'
import { readTextInRoot, statInRoot } from '../../../src/boot/root/rootfs-path.ts'
import { quoteForShell } from '../../../src/core/host/shell-quote.ts'
import { bootFixture } from '../boot-fixture.ts'

const MAIN = fileURLToPath(new URL('../exec-main.js', import.meta.url))

void test('exec: user, groups, environment, directory, terminal, stop with one running', async (t) => {
  const { base, home } = bootFixture(t)
  await bootDetached({ container: { ...base, name: 'box' }, wait: 'ready' })
  const output = `${home}/output`
  const run = async (argv: string[], more: Partial<ExecOptions> = {}): Promise<string> => {
    const descriptor = openSync(output, 'w')
    await execInContainer({ home, name: 'box', argv, stdio: ['ignore', descriptor, 2], ...more })
    return readFileSync(output, 'utf8').trim()
  }
  t.is(await run(['id']), 'uid=0(root) gid=0(root) groups=0(root)')
  t.is(await run(['id', '-u'], { user: '4242' }), '4242')
  t.is(
    await run(['sh', '-c', 'echo $A $HOME $container; pwd'], { env: ['A=1 2'], cwd: '/var' }),
    '1 2 /root systemd-nspawn\n/var'
  )
  t.is(await run(['sh', '-c', 'kill -0 1 && cat /proc/1/comm']), 'systemd')
  const bound = await run(['grep', 'CapBnd', '/proc/self/status'])
  t.is(
    bound,
    await run(['grep', 'CapBnd', '/proc/1/status']),
    'no more capabilities than the container'
  )

  const terminal = JSON.stringify({
    home,
    name: 'box',
    argv: ['sh', '-c', 'test -t 0 && exit 9'],
    tty: true
  })
  const command = [process.execPath, MAIN].map(quoteForShell).join(' ')
  const onTerminal = spawnSync('script', ['-qec', command, '/dev/null'], {
    env: { ...process.env, DAT_CONTAINER_TEST_OPTIONS: terminal }
  })
  t.is(onTerminal.status, 9)

  const stats = await containerStats({ home, name: 'box' })
  t.ok(stats.pids >= 3 && stats.rssBytes > 1e6 && stats.cpuMs > 0 && stats.complete)

  const waiting = execInContainer({ home, name: 'box', argv: ['sleep', '1000'], stdio: 'ignore' })
  t.alike(
    await stopContainer({ home, name: 'box' }),
    { orderly: true, wasRunning: true },
    'not held up by the exec'
  )
  t.not(await waiting, 0)
  const whole = await logs(home)
  const tail = await logs(home, 2)
  t.is(tail.replace(/\n$/, '').split('\n').length, 2)
  t.ok(whole.endsWith(tail) && whole.length > tail.length, 'the last lines of its console')
  await t.exception(
    execInContainer({ home, name: 'box', argv: ['true'] }),
    /box is stopped: it ended with/
  )
  await t.exception(execInContainer({ home, name: 'other', argv: ['true'] }), /no container/)
})

async function logs(home: string, tail?: number): Promise<string> {
  const chunks: Buffer[] = []
  const options = { home, name: 'box', ...(tail === undefined ? {} : { tail }) }
  for await (const { data } of readLogs(options)) chunks.push(data)
  return Buffer.concat(chunks).toString()
}

void test('paths of a tree never lead out of it', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'dc-root-'))
  t.teardown(() => rmSync(root, { recursive: true }))
  mkdirSync(`${root}/etc`)
  writeFileSync(`${root}/etc/passwd`, 'app:x:7:8::/srv:/bin/sh\nother:x:9:9:::\n')
  writeFileSync(`${root}/etc/group`, 'app:x:8:\nextra:x:70:app,other\n')
  symlinkSync('/etc/passwd', `${root}/absolute`)
  symlinkSync('../../../../etc/passwd', `${root}/etc/climbing`)
  symlinkSync('loop', `${root}/loop`)
  const { ino } = statSync(`${root}/etc/passwd`)
  for (const path of ['/absolute', '/etc/climbing', '../../etc/passwd', 'etc/./passwd']) {
    t.is((await statInRoot(root, path))?.ino, ino, path)
  }
  for (const path of ['/loop', '/etc/absent', '/etc/passwd/below', 'x'.repeat(300)]) {
    t.is(await statInRoot(root, path), undefined, path)
  }
  await new Promise((resolve) => {
    execFile('mkfifo', [`${root}/fifo`], resolve)
  })
  t.is(await readTextInRoot(root, '/fifo'), undefined, 'waits on no fifo')

  const user = await resolveUser(root, 'app')
  t.alike([user.uid, user.gid, user.groups, user.homeDirectory], [7, 8, [8, 70], '/srv'])
  t.alike((await resolveUser(root, '9:extra')).groups, [70])
  t.is((await resolveUser(root, '1234')).uid, 1234)
  await t.exception(resolveUser(root, 'nobody'), /no user/)
})
