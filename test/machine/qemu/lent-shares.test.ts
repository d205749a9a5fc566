import { spawn } from 'node:child_process'
import {
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync
} from 'node:fs'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import test from 'brittle'
import { FIRST_DESCRIPTOR } from '../../../src/machine/qemu/lent-files.ts'
import { lendShares } from '../../../src/machine/qemu/lent-shares.ts'
import { asNamespaceRoot, qemuRange } from '../../../src/machine/qemu/qemu-user.ts'

/** What a QEMU that a guest has taken over would try; each line says how it went. */
const TRIES = [
  'id -u',
  'cat /proc/self/fd/4/theirs',
  'chown 33:44 /proc/self/fd/4/theirs && echo given away',
  'echo more >> /proc/self/fd/5/theirs && echo written',
  'mknod /proc/self/fd/4/disk b 7 0 && echo device',
  'cat "$SECRET"',
  'kill -0 "$OURS" && echo ours to kill'
]

async function run(
  argv: readonly string[],
  descriptors: readonly number[],
  secret: string
): Promise<string[]> {
  const script = TRIES.map((line) => `(${line}) 2>/dev/null || echo no`).join('\n')
  const [program, ...args] = [...argv, 'sh', '-c', script]
  const child = spawn(program, args, {
    stdio: ['ignore', 'pipe', 'inherit', 'ignore', ...descriptors],
    env: { ...process.env, SECRET: secret, OURS: String(process.pid) }
  })
  const said = await child.stdout?.toArray()
  return said?.join('').trim().split('\n') ?? []
}

void test('who serves a guest’s directories changes their owners, and nothing else here', async (t) => {
  const secrets = mkdtempSync(join(tmpdir(), 'dat-lent-'))
  t.teardown(() => rmSync(secrets, { recursive: true, force: true }))
  const secret = join(secrets, 'secret')
  writeFileSync(secret, 'secret\n', { mode: 0o600 })
  const directory = join(secrets, 'share')
  mkdirSync(directory, { mode: 0o700 })
  const theirs = join(directory, 'theirs')
  writeFileSync(theirs, 'theirs\n', { mode: 0o600 })
  chownSync(theirs, 1000, 1000)
  const place = { homeId: 'lent-shares', name: 'one' }
  const range = qemuRange(place)
  const share = { source: directory, tag: 'x' }
  const shares = [
    { ...share, readOnly: false },
    { ...share, readOnly: true }
  ]
  const first = FIRST_DESCRIPTOR
  const lent = await lendShares(shares, { range, group: undefined, first })
  if (lent === undefined) return t.fail('this file system maps no owners')
  try {
    t.alike(
      lent.shares.map(({ source }) => source),
      ['/proc/self/fd/4', '/proc/self/fd/5']
    )
    const said = await run(asNamespaceRoot(lent.userNamespace, undefined), lent.descriptors, secret)
    t.alike(said, ['0', 'theirs', 'given away', 'no', 'no', 'no', 'no'])
    const { uid, gid } = statSync(theirs)
    t.alike([uid, gid], [33, 44], 'as the guest wants it, not shifted')
    t.is(readFileSync(theirs, 'utf8'), 'theirs\n')
    const control = await run([], lent.descriptors, secret)
    t.alike(control.slice(5), ['secret', 'ours to kill'], 'root of this machine could')
  } finally {
    await lent[Symbol.asyncDispose]()
  }
})
