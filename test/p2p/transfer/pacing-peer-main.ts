/**
 * A peer in a process of its own that fetches an image from another one and then serves it in its own way. It writes its
 * port to stdout when it has all, and connects to each port that it reads from stdin, again and again.
 */
import { createInterface } from 'node:readline'
import { pause, peerDeadline } from '../../../src/core/abort.ts'
import { PeerNode } from '../../../src/p2p/peers/peer-node.ts'
import type { BlockRange } from '../../../src/p2p/transfer/block-fetcher.ts'
import { DriveSession } from '../../../src/p2p/transfer/drive-session.ts'

/** `lies`: sends altered blocks. `stalls`: sends none. `paced`: sends one block in each `paceMs`. */
export interface PeerPlan {
  readonly storage: string
  readonly key: string
  readonly secret: string
  readonly from: number
  readonly manner: 'lies' | 'stalls' | 'paced'
  readonly paceMs: number
}

interface Sending {
  readonly block?: { readonly index: number; readonly value: Buffer } | null
}

interface SendingPeer {
  readonly wireData: { send: (data: Sending) => unknown }
}

const HOST = '127.0.0.1'
const DIAL_AGAIN_MS = 300

const plan = JSON.parse(process.argv[2] ?? '') as PeerPlan
const listen = { host: HOST, port: 0 }
// Introductions would lead to the peer that the image comes from.
const node = await PeerNode.open({
  storage: plan.storage,
  bootstrap: [`${HOST}:9`],
  listen,
  exchanges: false
})
const [key, secret] = [Buffer.from(plan.key, 'hex'), Buffer.from(plan.secret, 'hex')]
const drive = new DriveSession({ node, key, secret, role: 'reader' })
drive.addPeers([{ host: HOST, port: plan.from }])
const { cores, fetcher } = await drive.open(peerDeadline(undefined, 60_000, 'it').signal)
const ranges: BlockRange[] = [[0, cores.blobs.length]]
// oxlint-disable-next-line no-array-fill-with-reference-type -- no array is filled
await fetcher.fill(ranges, { eager: true })
let turn = Promise.resolve()
cores.blobs.on('peer-add', (peer: SendingPeer) => {
  const usual = peer.wireData.send.bind(peer.wireData)
  peer.wireData.send = (data) => {
    const { block } = data
    if (!block) return usual(data)
    if (plan.manner === 'stalls') return true
    if (plan.manner === 'lies') {
      const value = Buffer.from(block.value)
      value[0] = (value[0] ?? 0) ^ 1
      return usual({ ...data, block: { ...block, value } })
    }
    turn = turn.then(() => pause(plan.paceMs)).then(() => void usual(data))
    return true
  }
})
process.stdout.write(`${node.tcpPort}\n`)
for await (const line of createInterface({ input: process.stdin })) {
  void dialAgain({ host: HOST, port: Number(line) })
}
process.exit(0)

async function dialAgain(victim: { host: string; port: number }): Promise<void> {
  for (;;) {
    await node.dial(victim)
    await pause(DIAL_AGAIN_MS)
  }
}
