import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { execa } from 'execa'
import { startDhtNode } from '../../src/p2p/peers/dht-node.ts'
import { debianRootfs } from '../e2e/rootfs.ts'
import { Machine } from '../e2e/sandbox.ts'
import { freePort } from '../../src/machine/qemu/free-port.ts'
import { credentials, FIRMWARE, firmwareMachine, missing } from './firmware.ts'
import { cannotStart, Guest, kernelMachine } from './guest.ts'

const MIB = 1024 ** 2
/** An address of this machine that a guest reaches too: QEMU's network passes what is not its own to the host. */
const address = Object.values(networkInterfaces())
  .flat()
  .find((each) => each !== undefined && !each.internal && each.family === 'IPv4')?.address
const reason =
  (await cannotStart()) ?? (address === undefined ? 'this machine has no address' : undefined)

const noFirmware = missing(FIRMWARE.amd64)
const firmly = noFirmware === undefined ? 'from its EFI image' : `without firmware (${noFirmware})`

async function folderWithKey(t: { teardown: (end: () => Promise<void>) => void }) {
  const directory = await mkdtemp(join(tmpdir(), 'dat-os-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const keyFile = join(directory, 'key')
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'who tests', '-f', keyFile])
  const publicKey = (await readFile(`${keyFile}.pub`, 'utf8')).trim()
  return { directory, keyFile, publicKey }
}

async function sparseFile(path: string, bytes: number): Promise<string> {
  await using file = await open(path, 'w')
  await file.truncate(bytes)
  return path
}

/** Real machines are started, minutes long; without an image the reason stands in the output. */
const options = { timeout: 15 * 60_000, skip: reason !== undefined }
const titled = (title: string): string => (reason === undefined ? title : `${title} (${reason})`)

void test(
  titled(`boots, lets in by key, runs a container from a peer outside, and boots again ${firmly}`),
  options,
  async (t) => {
    const { directory, keyFile, publicKey } = await folderWithKey(t)
    const disk = await sparseFile(join(directory, 'disk'), 1024 * MIB)
    await using dht = await startDhtNode(address!, await freePort())
    const bootstrap = `${dht.host}:${dht.port}`
    const publisher = new Machine(join(directory, 'home'), {
      DAT_CONTAINER_BOOTSTRAP: bootstrap,
      DAT_CONTAINER_RUNTIME_DIR: join(directory, 'run')
    })
    t.teardown(() => publisher.shutDown(), { order: -1 })
    const { link } = await publisher.json<{ link: string }>('share', debianRootfs(), '-n', 'debian')

    let hostKey: string
    {
      const append = `host=alpha sshkey="${publicKey}" dat.bootstrap=${bootstrap}`
      await using guest = await Guest.start({ directory, keyFile, disk, append })
      t.is(await guest.ok('hostname'), 'alpha')
      t.is(await guest.ok('systemctl is-system-running --wait'), 'running')
      t.is(await guest.ok('stat -f -c %T /var/lib/dat-container'), 'ext2/ext3')
      const password = await guest.ssh(
        [
          '-o',
          'PubkeyAuthentication=no',
          '-o',
          'PreferredAuthentications=password,keyboard-interactive'
        ],
        'true'
      )
      t.ok(password.stderr.includes('Permission denied (publickey)'), 'no passwords')

      await guest.ok(`dat-container boot '${link}' -n one -d --wait ready --lazy-only`)
      t.ok((await guest.ok('dat-container exec one -- cat /etc/os-release')).includes('Debian'))
      t.is((await guest.run('dat-container exec one -- sh -c "exit 42"')).exitCode, 42)
      await guest.ok('dat-container stop one')
      hostKey = await guest.ok('cat /run/hyperos/ssh/ssh_host_ed25519_key.pub')
      await guest.powerOff()
    }

    await truncate(disk, 1536 * MIB)
    const efi = noFirmware === undefined
    await using again = await Guest.start({
      ...{ directory, keyFile, disk },
      machine: efi
        ? await firmwareMachine(FIRMWARE.amd64, directory)
        : await kernelMachine(directory, ''),
      qemu: [
        ...credentials(publicKey, 'beta'),
        // Faster by half in software, see FIXED_ADDRESSES.
        ...[
          '-fw_cfg',
          `name=opt/io.systemd.credentials/sysctl.extra,string=kernel.randomize_va_space=0`
        ]
      ]
    })
    t.is(await again.ok('systemctl is-system-running --wait'), 'running')
    t.is(await again.ok('hostname'), 'beta', 'the name came as a credential, as the key did')
    t.is(
      await again.ok('cat /proc/sys/kernel/randomize_va_space'),
      '0',
      'a credential came by fw_cfg, too'
    )
    if (efi) {
      t.ok(await again.ok('test -d /sys/firmware/efi && echo yes'), 'firmware started it')
      t.is(await again.ok('cat /proc/cmdline'), FIRMWARE.amd64.commandLine, 'the image’s own words')
    }
    t.is(
      await again.ok('cat /run/hyperos/ssh/ssh_host_ed25519_key.pub'),
      hostKey,
      'the same host key'
    )
    const blocks = Number(await again.ok('stat -f -c %b /var/lib/dat-container'))
    t.ok(blocks * 4096 > 1200 * MIB, 'the file system grew with the disk')
    t.ok((await again.ok('dat-container images')).includes('debian'), 'images are still there')
    await again.powerOff()
  }
)

void test(titled('a disk with something unknown is left alone'), options, async (t) => {
  const { directory, keyFile, publicKey } = await folderWithKey(t)
  const disk = await sparseFile(join(directory, 'disk'), 64 * MIB)
  await writeFile(disk, 'of somebody, in no format that is known', { flag: 'r+' })
  const keys = Buffer.from(`# two lines\n${publicKey}\n`).toString('base64')
  const append = `sshkey64=${keys}`
  const qemu = ['-smp', '2']
  await using guest = await Guest.start({ directory, keyFile, disk, append, qemu })
  t.is(await guest.ok('nproc'), '2')
  t.is((await guest.run('systemctl is-system-running --wait')).stdout, 'degraded')
  t.is((await guest.run('systemctl is-active dat-container')).stdout, 'inactive')
  t.ok((await guest.ok('journalctl -u hyperos-data -o cat')).includes('it is left alone'))
  await guest.powerOff()
  t.ok((await readFile(disk, 'utf8')).startsWith('of somebody'))
})
