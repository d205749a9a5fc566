/**
 * A plain HTTP server between two others: passes on what another one serves, or the files of a folder.
 * Prints its URL. With a name and a byte, a bit of that byte of that file is another one.
 *
 *   http-main.js ADDRESS FOLDER-OR-URL [NAME BYTE]
 */
import { readFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

const [address = '', source = '', flipped, at = '0'] = process.argv.slice(2)

async function read(name: string): Promise<Buffer> {
  if (!source.startsWith('http:')) return readFile(join(source, name))
  const answer = await fetch(new URL(name, source))
  if (!answer.ok) throw new Error(answer.statusText)
  return Buffer.from(await answer.arrayBuffer())
}

const server = createServer((request, response) => {
  void answer((request.url ?? '').slice(1), response)
})
server.listen(0, address, () => {
  const { port } = server.address() as AddressInfo
  process.stdout.write(`http://${address}:${port}/\n`)
})

async function answer(name: string, response: ServerResponse): Promise<void> {
  try {
    const content = await read(name)
    if (name === flipped) content[Number(at)] = (content[Number(at)] ?? 0) ^ 1
    response.writeHead(200, { 'content-length': content.length }).end(content)
  } catch {
    response.writeHead(404).end()
  }
}
