import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { tmpdir } from 'node:os'
import test from 'brittle'
import { execa } from 'execa'
import { credentials, FIRMWARE, firmwareMachine, missing } from './firmware.ts'
import { Guest } from './guest.ts'

// That of amd64 is started in boot.test.ts, where there is a second start of a machine anyhow.
const { arm64 } = FIRMWARE
const title = 'arm64: the EFI image starts from a FAT disk, with key and name as credentials'
const reason = missing(arm64)

void test(
  reason === undefined ? title : `${title} (${reason})`,
  { timeout: 15 * 60_000, skip: reason !== undefined },
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'dat-efi-'))
    t.teardown(() => rm(directory, { recursive: true, force: true }))
    const keyFile = join(directory, 'key')
    await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', keyFile])
    const publicKey = (await readFile(`${keyFile}.pub`, 'utf8')).trim()
    await using guest = await Guest.start({
      ...{ directory, keyFile, machine: await firmwareMachine(arm64, directory) },
      qemu: credentials(publicKey, 'gamma')
    })
    t.is(await guest.ok('hostname'), 'gamma')
    t.is(await guest.ok('systemctl is-system-running --wait'), 'running')
    t.ok(await guest.ok('test -d /sys/firmware/efi && echo yes'), 'firmware started it')
    t.is(await guest.ok('cat /proc/cmdline'), arm64.commandLine, 'the image’s own words')
    await guest.powerOff()
  }
)
