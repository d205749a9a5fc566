import { readFile } from 'node:fs/promises'
import { hostname, uptime } from 'node:os'
import { join } from 'node:path'
import { ImageReference } from '../p2p/link.ts'
import { openHome } from '../home/home.ts'
import { ImageConnection } from '../session/connection/image-connection.ts'
import { ContainerError, isContainerError, systemErrorCode } from '../core/errors.ts'
import {
  RECORD_FORMAT,
  RECORD_NAMESPACE,
  TOLD_INITRD,
  TOLD_KERNEL,
  type AttestedContainer,
  type AttestRecord,
  type SignedRecord
} from './attest-record.ts'
import { listContainers } from '../boot/containers/containers.ts'
import { signText } from './ssh-signature.ts'

/** Where HyperOS keeps what it made at its boot. */
const RUN = '/run/hyperos'
const FW_CFG = '/sys/firmware/qemu_fw_cfg/by_name'
const INDEX_WAIT_MS = 5000

/**
 * What this boot of HyperOS was and which containers run, signed by the key that was made at the boot.
 *
 * @param nonce from the requester
 * @throws ContainerError `NOT_FOUND` where this is no HyperOS, `MISSING_TOOL`, `IO`
 */
export async function makeSignedRecord(home: string, nonce: string): Promise<SignedRecord> {
  const keyFile = join(RUN, 'attest/key')
  const publicKey = await readText(`${keyFile}.pub`)
  if (publicKey === null) {
    throw new ContainerError('NOT_FOUND', 'this system made no key when it booted', {
      hint: 'this verb runs inside HyperOS; use: dat-container machine attest NAME'
    })
  }
  const containers: AttestedContainer[] = []
  for (const container of await listContainers(home)) {
    const { name, link, key, version } = container
    if (link === null || key === null || version === null) continue
    containers.push({ name, key, version, index: await indexDigests(home, link) })
  }
  const now = Date.now()
  const record: AttestRecord = {
    format: RECORD_FORMAT,
    machine: hostname(),
    nonce,
    bootId: (await readText('/proc/sys/kernel/random/boot_id')) ?? '',
    bootedAt: new Date(now - uptime() * 1000).toISOString(),
    signedAt: new Date(now).toISOString(),
    commandLine: (await readText('/proc/cmdline')) ?? '',
    kernelTold: await readText(join(FW_CFG, TOLD_KERNEL, 'raw')),
    initrdTold: await readText(join(FW_CFG, TOLD_INITRD, 'raw')),
    initrdMeasured: await readText(join(RUN, 'attest/initrd.sha256')),
    sshHostKey: withoutComment(await readText(join(RUN, 'ssh/ssh_host_ed25519_key.pub'))),
    containers: containers.sort((a, b) => (a.name < b.name ? -1 : 1))
  }
  const text = `${JSON.stringify(record, undefined, 2)}\n`
  return {
    record: text,
    publicKey: withoutComment(publicKey) ?? '',
    signature: await signText(text, RECORD_NAMESPACE, keyFile)
  }
}

/** From what is on this machine alone; a container whose image is not to be had has none. */
async function indexDigests(home: string, link: string): Promise<string[]> {
  try {
    using connection = await ImageConnection.open({
      ...{
        paths: openHome(home),
        image: ImageReference.parse(link),
        peerTimeoutMs: INDEX_WAIT_MS,
        offline: true
      }
    })
    const { digest, base } = connection.manifest.index
    return base === undefined ? [digest] : [digest, base.digest]
  } catch (error) {
    if (isContainerError(error)) return []
    throw error
  }
}

/** A small file without the newline at its end, or null where there is none. */
async function readText(path: string): Promise<string | null> {
  try {
    return (await readFile(path, 'utf8')).replace(/\n$/, '')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return null
    throw error
  }
}

function withoutComment(key: string | null): string | null {
  return key === null ? null : key.split(' ').slice(0, 2).join(' ')
}
