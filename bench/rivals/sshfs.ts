import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import { mountedBy } from './mounted.ts'
import { server, type Rival } from './rival.ts'

const PORT = 2222

/** The directory itself, mounted over ssh. */
export const sshfs: Rival = {
  name: 'sshfs',
  programs: { sshfs: 'sshfs', sshd: 'openssh-server', ssh: 'openssh-client' },
  async serve(tree, publisher, directory) {
    const [hostKey, userKey] = [join(directory, 'host'), join(directory, 'user')]
    for (const key of [hostKey, userKey]) {
      await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    }
    const config = join(directory, 'sshd_config')
    await writeFile(
      config,
      `ListenAddress ${publisher.address}
Port ${PORT}
HostKey ${hostKey}
PidFile none
AuthorizedKeysFile ${userKey}.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
`
    )
    // Where sshd puts what it distrusts; Debian’s unit makes it.
    await mkdir('/run/sshd', { recursive: true })
    const running = await server(publisher, PORT, '/usr/sbin/sshd', '-D', '-f', config)
    return {
      async provide(reader, place) {
        const root = join(place, 'sshfs')
        await mkdir(root)
        const options = [
          ...['ro', 'kernel_cache', `port=${PORT}`, `IdentityFile=${userKey}`, 'allow_other'],
          ...['StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR']
        ]
        const from = `root@${publisher.address}:${tree}`
        const command = ['sshfs', '-f', '-o', options.join(','), from, root]
        const mounted = await mountedBy(reader, root, ...command)
        return { root, [Symbol.asyncDispose]: () => mounted[Symbol.asyncDispose]() }
      },
      [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]()
    }
  }
}
