import { spawnSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import type { Shared } from '../e2e/results.ts'
import { LONG, Sandbox } from '../e2e/sandbox.ts'
import { tinyRootfs } from '../e2e/tiny-rootfs.ts'
import { setFileCapability } from './file-capability.ts'
import { openToUsers, runAsUser } from './local-user.ts'
import { VictimDevice } from './victim.ts'

const CAP_DAC_OVERRIDE = 1

for (const mode of ['erofs', 'fuse']) {
  void test(
    `a mounted image gives no power to users of this machine (${mode})`,
    LONG,
    async (t) => {
      await using sandbox = await Sandbox.open()
      const machine = await sandbox.machine('machine')
      // Users get as far as the mount.
      openToUsers(sandbox.directory)
      using victim = new VictimDevice(sandbox.directory, 'disk of this machine')
      const secret = join(sandbox.directory, 'secret')
      writeFileSync(secret, 'secret', { mode: 0o600 })
      const { link } = await machine.json<Shared>('share', hostileRootfs(sandbox.directory, victim))
      const directory = join(sandbox.directory, 'mnt')
      const asRoot = (): string => runAsUser(join(directory, 'usr/bin/setuid-cat'), secret)
      const byFileCapability = (): string =>
        runAsUser(join(directory, 'usr/bin/capable-cat'), secret)
      const ofDevice = (): string =>
        runAsUser('head', '--bytes=20', join(directory, 'usr/bin/victim'))

      await machine.ok('mount', link, directory, '--mount', mode)
      t.is(
        runAsUser(join(directory, 'usr/bin/cat'), join(directory, 'etc/os-release')),
        'ID=tiny\n'
      )
      t.is(asRoot(), '', 'a setuid program is the user’s')
      t.is(byFileCapability(), '', 'so is one with capabilities')
      t.is(ofDevice(), '', 'a device node opens nothing')
      const write = spawnSync('dd', [`of=${directory}/usr/bin/victim`, 'if=/dev/zero', 'count=1'])
      t.ok(write.status !== 0 && victim.isIntact, 'not even for root')
      await machine.ok('umount', directory)

      await machine.ok('mount', link, directory, '--mount', mode, '-o', 'suid')
      t.is(asRoot(), 'secret', 'who asks for setuid programs has them')
      t.is(byFileCapability(), 'secret')
      t.is(ofDevice(), '', 'and no devices')
      await machine.ok('umount', directory)

      await machine.ok('mount', link, directory, '--mount', mode, '-o', 'dev,suid,nosuid')
      t.is(ofDevice(), 'disk of this machine', 'who asks for devices has them')
      t.is(asRoot(), '', 'and no setuid programs: the later of two options counts')
      await machine.ok('umount', directory)

      const refused = await machine.run('mount', link, directory, '-o', 'rw')
      t.is(refused.exitCode, 2, 'what an image cannot be mounted with is refused')
    }
  )
}

function hostileRootfs(directory: string, victim: VictimDevice): string {
  const root = tinyRootfs(join(directory, 'hostile'))
  const programs = join(root, 'usr/bin')
  mkdirSync(programs, { recursive: true })
  for (const name of ['setuid-cat', 'capable-cat']) {
    copyFileSync(join(programs, 'cat'), join(programs, name))
  }
  chmodSync(join(programs, 'setuid-cat'), 0o4755)
  setFileCapability(join(programs, 'capable-cat'), 1 << CAP_DAC_OVERRIDE)
  victim.nodeAt(join(programs, 'victim'))
  return root
}
