import { request } from 'node:http'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import type { Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

test('metrics of a daemon are served at a unix socket, without secrets', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const socketPath = join(sandbox.directory, 'metrics.sock')
  const publisher = await sandbox.machine('publisher')
  const reader = await sandbox.machine('reader')
  await publisher.ok('daemon', 'start', '--metrics', socketPath)
  t.is(statSync(socketPath).mode & 0o077, 0, 'the socket is for its user alone')
  const rootfs = tinyRootfs(join(sandbox.directory, 'rootfs'))
  const shared = await publisher.json<Shared>('share', rootfs, '--name', 'x')
  const before = await fetched(socketPath, '/metrics')
  t.is(before.status, 200)
  t.is(before.values.get('dat_container_images'), 1)
  t.is(before.values.get('dat_container_peers'), 0)
  t.is(imageValue(before, 'image_complete', 'x'), 1)
  const stored = imageValue(before, 'image_stored_bytes', 'x') ?? 0
  t.ok(stored >= shared.storedBytes, `${stored} bytes stored`)

  await reader.ok('pull', shared.link)
  const after = await fetched(socketPath, '/metrics')
  t.is(after.values.get('dat_container_peers'), 1)
  const sent = after.values.get('dat_container_sent_bytes_total') ?? 0
  t.ok(sent >= shared.storedBytes, `${sent} bytes sent of an image of ${shared.storedBytes}`)
  t.ok((imageValue(after, 'image_sent_bytes_total', 'x') ?? 0) >= shared.storedBytes)
  const [, secret = ''] = /#([^?]+)/.exec(shared.link) ?? []
  t.ok(after.text.includes(shared.key), 'the key shows that the image is in the text')
  t.absent(after.text.includes(secret), 'its secret is not')

  t.is((await fetched(socketPath, '/')).status, 404)
  t.is((await fetched(socketPath, '/metrics', 'POST')).status, 405)
  await publisher.ok('daemon', 'stop')
  t.absent(existsSync(socketPath), 'it goes with the daemon')

  const wrong = await publisher.run('daemon', 'start', '--metrics', 'nowhere')
  t.is(wrong.exitCode, 2)
  const taken = await publisher.run(
    'daemon',
    'start',
    '--metrics',
    join(rootfs, 'absent', 'socket')
  )
  t.is(taken.exitCode, 1)
  t.ok(taken.stderr.includes('cannot serve metrics'), taken.stderr)
})

interface Metrics {
  readonly status: number | undefined
  readonly text: string
  /** By name and labels. */
  readonly values: ReadonlyMap<string, number>
}

function fetched(socketPath: string, path: string, method = 'GET'): Promise<Metrics> {
  return new Promise((resolve, reject) => {
    request({ socketPath, path, method }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (text += part))
      response.on('end', () => {
        const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
        const values = lines.map((line): [string, number] => {
          const end = line.lastIndexOf(' ')
          return [line.slice(0, end), Number(line.slice(end + 1))]
        })
        resolve({ status: response.statusCode, text, values: new Map(values) })
      })
    })
      .on('error', reject)
      .end()
  })
}

/** A metric of one image. */
function imageValue({ values }: Metrics, name: string, image: string): number | undefined {
  for (const [labelled, value] of values) {
    if (labelled.startsWith(`dat_container_${name}{`) && labelled.includes(`image="${image}"`))
      return value
  }
  return undefined
}
