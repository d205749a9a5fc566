/** Runs a node of a private DHT at each of the addresses that it is given. Tells the first two on stdout; ends with SIGTERM. */
import DHT from 'hyperdht'

const PORT = 49_737

const nodes: DHT[] = []
const bootstrap: string[] = []
for (const host of process.argv.slice(2)) {
  const node = new DHT({ host, port: PORT, bootstrap, firewalled: false, ephemeral: false })
  await node.fullyBootstrapped()
  nodes.push(node)
  if (bootstrap.length < 2) bootstrap.push(`${host}:${node.address().port}`)
}
process.stdout.write(`${bootstrap.join(',')}\n`)
