import { request } from 'node:http'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import type { Shared } from './results.ts'
import { LONG, Sandbox } from './sandbox.ts'
import { tinyRootfs } from './tiny-rootfs.ts'

interface Answer {
  readonly status: number
  readonly text: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

interface Status {
  readonly ui: string | null
}

test('the page tells only who has its token, and no other site', LONG, async (t) => {
  await using sandbox = await Sandbox.open()
  const machine = await sandbox.machine('only')
  await machine.ok('daemon', 'start', '--ui')
  const shared = await machine.json<Shared>(
    ...['share', tinyRootfs(join(sandbox.directory, 'rootfs')), '--name', 'x']
  )
  const { url, token } = await pageOf(machine)
  const asked = { authorization: `Bearer ${token}` }
  const view = new URL(`api/view?image=${shared.key}`, url)

  const shell = await get(url)
  t.is(shell.status, 200, 'the empty page is for everybody here')
  t.is(shell.headers['x-content-type-options'], 'nosniff')
  t.is(shell.headers['cache-control'], 'no-store')
  t.ok(String(shell.headers['content-security-policy']).startsWith("default-src 'none'"))
  const answer = await get(view, asked)
  t.is(answer.status, 200)
  t.ok(answer.text.includes(shared.key), 'the view has the image')
  const [, secret = '-'] = /#([^?]+)/.exec(shared.link) ?? []
  t.ok(
    (await machine.ok('images', '--json', '--links')).includes(secret),
    'the daemon knows its secret'
  )
  t.absent(answer.text.includes(secret), 'the view does not')

  t.is((await get(view)).status, 401, 'without the token')
  t.is((await get(view, { authorization: `Bearer ${token.slice(1)}` })).status, 401, 'a part of it')
  t.is((await get(view, { authorization: `Bearer ${token}x` })).status, 401, 'more than it')
  const withQuery = new URL(`api/view?token=${token}`, url)
  t.is((await get(withQuery)).status, 401, 'in the address, where logs would have it')

  const { port } = url
  for (const host of [
    'rebound.example',
    `rebound.example:${port}`,
    '192.0.2.1',
    '127.0.0.1.example'
  ]) {
    t.is((await get(view, { ...asked, host })).status, 403, `host ${JSON.stringify(host)}`)
    t.is((await get(url, { host })).status, 403, `host ${JSON.stringify(host)}, of the empty page`)
  }
  for (const host of [`localhost:${port}`, '127.0.0.1:8080', '[::1]:8080']) {
    t.is((await get(view, { ...asked, host })).status, 200, `host ${host}`)
  }
  const elsewhere = { origin: 'http://elsewhere.example' }
  t.is((await get(view, { ...asked, ...elsewhere })).status, 403, 'another origin')
  const otherPort = { origin: 'http://127.0.0.1:1' }
  t.is((await get(view, { ...asked, ...otherPort })).status, 403, 'another server of this machine')
  t.is((await get(view, { ...asked, origin: url.origin })).status, 200, 'its own')
  for (const site of ['cross-site', 'same-site']) {
    t.is((await get(view, { ...asked, 'sec-fetch-site': site })).status, 403, site)
  }
  const followed = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }
  t.is((await get(url, { ...followed, 'sec-fetch-dest': 'iframe' })).status, 403, 'a frame')
  t.is((await get(url, { ...followed, 'sec-fetch-dest': 'document' })).status, 200, 'a link')
  t.is((await get(view, asked, 'POST')).status, 405)
  t.is((await get(new URL('../images.json', url), asked)).status, 404)

  await machine.ok('daemon', 'stop')
  const log = readFileSync(join(machine.home, 'daemon.log'), 'utf8')
  t.ok(log.includes(url.href), 'the log says where the page is')
  t.absent(log.includes(token), 'and not how to open it')
  await machine.ok('daemon', 'start', '--ui')
  const after = await pageOf(machine)
  t.unlike(after.token, token, 'another daemon has another token')
})

test(
  'the page is served on this machine alone, and comes and goes with a reload',
  LONG,
  async (t) => {
    await using sandbox = await Sandbox.open()
    const machine = await sandbox.machine('only')
    for (const address of [
      '0.0.0.0:17781',
      '[::]:17781',
      '192.0.2.1:17781',
      'name.example:17781',
      '/run/x'
    ]) {
      const refused = await machine.run('daemon', 'start', '--ui', address)
      t.is(refused.exitCode, 2, address)
      t.ok(refused.stderr.includes('for this machine alone'), refused.stderr)
    }
    t.is((await machine.run('daemon', 'ui')).exitCode, 3, 'no daemon runs')
    await machine.ok('daemon', 'start')
    const status = (): Promise<Status> => machine.json<Status>('daemon', 'status')
    t.is((await status()).ui, null)
    const none = await machine.run('daemon', 'ui')
    t.is(none.exitCode, 3)
    t.ok(none.stderr.includes('daemon reload --ui'), none.stderr)

    await machine.ok('daemon', 'reload', '--ui')
    const { url, token } = await pageOf(machine)
    t.is(url.hostname, '127.0.0.1')
    t.is((await status()).ui, url.href, 'the status says where, and not how to open it')
    const view = new URL('api/view', url)
    const asked = { authorization: `Bearer ${token}` }
    t.is((await get(view, asked)).status, 200)
    const taken = await machine.run('daemon', 'reload', '--ui', '1')
    if (taken.exitCode === 0) t.comment('this user may listen at port 1')
    else t.ok(taken.stderr.includes('cannot serve the page'), taken.stderr)
    await machine.ok('daemon', 'reload', '--ui', '[::1]:17782')
    const moved = await pageOf(machine)
    t.is(moved.url.href, 'http://[::1]:17782/')
    t.is(moved.token, token, 'an open page goes on')
    t.is((await get(new URL('api/view', moved.url), asked)).status, 200)
    await t.exception(get(view, asked), 'nobody listens where it was')
    await machine.ok('daemon', 'reload')
    t.is((await status()).ui, null)
    await t.exception(get(new URL('api/view', moved.url), asked))
  }
)

async function pageOf(machine: {
  json<T>(...args: string[]): Promise<T>
}): Promise<{ url: URL; token: string }> {
  const { url } = await machine.json<{ url: string }>('daemon', 'ui')
  const [page = '', token = ''] = url.split('#token=')
  return { url: new URL(page), token }
}

function get(url: URL, headers: Record<string, string> = {}, method = 'GET'): Promise<Answer> {
  return new Promise((resolve, reject) => {
    request(url, { headers, method, agent: false }, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part: string) => (text += part))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, text, headers: response.headers })
      )
    })
      .on('error', reject)
      .end()
  })
}
