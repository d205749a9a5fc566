import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { StarHost } from '../wan/star.ts'
import { server } from './rival.ts'

/** Serves a directory with nginx on a port of a host; `directory` is for its state. */
export async function webServer(
  host: StarHost,
  port: number,
  root: string,
  directory: string
): Promise<AsyncDisposable & { readonly url: string }> {
  const state = join(directory, 'nginx')
  await mkdir(state)
  const config = join(state, 'nginx.conf')
  const places = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path ${state}/${kind};`)
    .join(' ')
  await writeFile(
    config,
    `daemon off; user root; worker_processes 1; pid ${state}/pid; error_log ${state}/error.log;
events { worker_connections 512; }
http { access_log off; sendfile on; tcp_nodelay on; keepalive_requests 1000000; ${places}
server { listen ${host.address}:${port}; root ${root}; } }
`
  )
  const running = await server(host, port, 'nginx', '-c', config, '-p', state)
  return {
    url: `http://${host.address}:${port}`,
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose]()
  }
}
