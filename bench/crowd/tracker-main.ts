/**
 * A BitTorrent tracker for one torrent: it tells each client of all others. In memory, by HTTP.
 *
 *   node build/bench/crowd/tracker-main.js ADDRESS PORT
 *
 * Source: BEP 3 (announces, bencoded answers) and BEP 23 (compact lists of peers).
 */
import { createServer } from 'node:http'

/** How often a client asks again, seconds. */
const INTERVAL_S = 10

const [address = '', port = ''] = process.argv.slice(2)
/** Address and port of each client, six bytes, by both as text. */
const clients = new Map<string, Buffer>()

createServer((request, response) => {
  const query = new URL(request.url ?? '/', 'http://tracker').searchParams
  const host = request.socket.remoteAddress ?? ''
  const clientPort = Number(query.get('port'))
  const name = `${host}:${clientPort}`
  const others = [...clients].filter(([other]) => other !== name).map(([, bytes]) => bytes)
  if (query.get('event') === 'stopped') clients.delete(name)
  else clients.set(name, compact(host, clientPort))
  const peers = Buffer.concat(others)
  const head = `d8:intervali${INTERVAL_S}e12:min intervali${INTERVAL_S}e5:peers${peers.length}:`
  response.end(Buffer.concat([Buffer.from(head), peers, Buffer.from('e')]))
}).listen(Number(port), address)

function compact(host: string, clientPort: number): Buffer {
  const bytes = Buffer.from([...host.split('.').map(Number), 0, 0])
  bytes.writeUInt16BE(clientPort, 4)
  return bytes
}
