import { randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { parseFullLink } from '../../src/p2p/link.ts'
import { foundBelow, foundInMemory, type Needles } from './memory-search.ts'
import type { Listed, Shared } from './results.ts'
import { LONG, Sandbox, type Machine } from './sandbox.ts'

test(
  'a mirror’s disk and memory have no name, content or secret of what it mirrors',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const publisher = await sandbox.machine('publisher')
    const reader = await sandbox.machine('reader')
    const source = join(sandbox.directory, 'source')
    const fileName = `file-${randomBytes(12).toString('hex')}`
    const imageName = `image-${randomBytes(12).toString('hex')}`
    const content = randomBytes(2 * 1024 * 1024)
    mkdirSync(source)
    writeFileSync(join(source, fileName), content)
    const { link } = await publisher.json<Shared>('share', source, '--name', imageName)
    const { secret } = parseFullLink(link)
    const needles: Needles = {
      'file name': Buffer.from(fileName),
      'image name': Buffer.from(imageName),
      // It does not compress, so that its chunks are stored as they are.
      content: content.subarray(100_000, 100_048),
      'content at the end': content.subarray(-48),
      secret,
      'secret in z-base-32': Buffer.from(link.split('#')[1] ?? ''),
      'secret in hex': Buffer.from(secret.toString('hex')),
      'secret in base64': Buffer.from(secret.toString('base64').slice(0, -1)),
      'secret in base64url': Buffer.from(secret.toString('base64url'))
    }

    // The command is told the secret, in two ways, and starts the daemon.
    const byArgument = await sandbox.machine('by-argument')
    await byArgument.ok('mirror', link, '--wait')
    const byVariable = await sandbox.machine('by-variable')
    const env = {
      ...sandbox.sandboxEnvironment,
      DAT_CONTAINER_HOME: byVariable.home,
      DAT_CONTAINER_LINK: link
    }
    t.is((await byVariable.start(['mirror', '--wait'], { env })).exitCode, 0)
    const share = await sandbox.machine('share')
    const half = Math.floor(content.length / 2)
    await share.ok('mirror', link, '--quota', `${half}`, '--wait')
    await reader.ok('pull', link)
    await reader.bytes('cat', link, `/${fileName}`)

    for (const mirror of [byArgument, byVariable, share]) {
      const [state] = await mirror.json<Listed[]>('images')
      t.ok((state?.blocksHeld ?? 0) > 10, `it holds ${state?.blocksHeld} blocks`)
      t.alike(foundBelow(mirror.home, needles), [], 'nothing on its disk')
      t.alike(
        [...foundInMemory(await daemonOf(mirror), needles)],
        [],
        'nothing in its daemon’s memory'
      )
    }

    // The probe finds all of it where it is.
    const seen = new Set<string>()
    for (const machine of [publisher, reader]) {
      for (const needle of foundInMemory(await daemonOf(machine), needles)) seen.add(needle)
      for (const { needle } of foundBelow(machine.home, needles)) seen.add(needle)
    }
    const rendered = ['secret in base64', 'secret in base64url']
    t.alike(
      Object.keys(needles).filter((needle) => !seen.has(needle) && !rendered.includes(needle)),
      [],
      'publisher and reader have all of it'
    )
  }
)

async function daemonOf(machine: Machine): Promise<number> {
  return (await machine.json<{ pid: number }>('daemon', 'status')).pid
}
