import { ContainerError } from '../../core/errors.ts'
import { toRecord } from '../../core/error-record.ts'
import { readJsonLines, writeJsonLine, type Json } from '../../core/json-lines.ts'
import { ImageReference } from '../../p2p/link.ts'
import type { MounterGreeting, MounterRequest } from '../lease/mounter-protocol.ts'
import { runMounter, type MounterParts } from './mounter.ts'

/** How long an orderly end may take before the process goes anyway. */
const LAST_RESORT_MS = 20_000

/**
 * Runs this process as a mounter: reads the request from standard input, greets on standard output, serves, and
 * exits. End of input before the greeting, SIGTERM and SIGINT end it; it then unmounts everything.
 */
export async function serveMounter(parts: MounterParts): Promise<void> {
  const ending = new AbortController()
  const end = (): void => {
    ending.abort(new ContainerError('CANCELLED', 'the mount was cancelled'))
    setTimeout(() => process.exit(1), LAST_RESORT_MS).unref()
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, end)
  process.on('SIGHUP', () => {})
  // The starter closes its ends of both pipes as soon as it knows the socket.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

  let greeted = false
  const greet = (greeting: MounterGreeting): void => {
    greeted = true
    writeJsonLine(process.stdout, greeting)
  }
  const lines = readJsonLines(process.stdin)
  try {
    const first = await lines.next()
    if (first.done === true) return
    const request = readRequest(first.value as Json<MounterRequest>)
    // Nobody has started a successor who could give it up.
    if (request.takeOver !== undefined) greeted = true
    void (async () => {
      await lines.next()
      if (!greeted) end()
    })()
    await runMounter(request, parts, (socket, news) => greet({ socket, news }), ending.signal)
  } catch (error) {
    if (!greeted) greet({ error: toRecord(error) })
    process.exitCode = 1
  }
  // Sockets of a session that failed halfway must not keep a process that is done.
  await new Promise((resolve) => process.stdout.write('', resolve))
  process.exit()
}

/** @throws ContainerError `BAD_LINK` */
function readRequest(request: Json<MounterRequest>): MounterRequest {
  return { ...request, link: ImageReference.parse(request.link) }
}
