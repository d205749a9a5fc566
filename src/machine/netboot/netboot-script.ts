/** Scripts for iPXE (https://ipxe.org/scripting) that start HyperOS from a network. */
import { ContainerError } from '../../core/errors.ts'
import { serialConsole, type Architecture } from '../state/machine-types.ts'

/** Names of two files of an image: the script, and the first stage, which checks the initrd and starts it. */
export const NETBOOT_SCRIPT = 'boot.ipxe'
export const NETBOOT_CHECK = 'netboot-check'
/** The file that is served as initrd: an archive of the initrd, its manifest, and the manifest's signature. */
export const NETBOOT_IMAGE = 'netboot-image'
/** The folder in which the first stage finds what it checks. */
export const NETBOOT_FOLDER = 'netboot'
/** Beside each file that iPXE can verify, its signature. */
export const CMS_SUFFIX = '.sig'

const FAILED_WAIT_S = 10

/**
 * Words of the kernel's command line by which the first stage knows the initrd. No word may end with
 * `initrd=` but UEFI's own: a kernel that UEFI starts looks for that text anywhere in its command line.
 *
 * @param trust.sha256 of the initrd, hexadecimal
 * @param trust.publicKey the base64 line of a minisign key that must have signed the manifest
 */
export function netbootWords(trust: { sha256: string; publicKey?: string | undefined }): string {
  const key = trust.publicKey === undefined ? '' : ` dat.pubkey=${trust.publicKey}`
  return `dat.sha256=${trust.sha256}${key}`
}

/**
 * The script that is served: kernel, first stage and the archive with the initrd, by names beside the
 * script's own.
 *
 * @param options.signed whether there are signatures: an iPXE that has `imgverify` must find them good
 * @throws ContainerError `USAGE` for a command line that iPXE would read as something else
 */
export function netbootScript(options: { commandLine: string; signed: boolean }): string {
  checkWords(options.commandLine)
  const files = ['vmlinuz', NETBOOT_CHECK, NETBOOT_IMAGE]
  // UEFI's kernels of an older iPXE find by `initrd=` what others are given.
  const words = `initrd=${NETBOOT_CHECK} initrd=${NETBOOT_IMAGE} ${options.commandLine}`
  const verify = [
    // Without these commands this one is unknown, and fails.
    'imgtrust || goto unverified',
    ...files.map((name) => `imgverify ${name} ${name}${CMS_SUFFIX} || goto failed`),
    'goto start',
    ':unverified',
    'echo This iPXE has no imgverify: what comes is checked from the first stage on'
  ]
  return lines([
    '#!ipxe',
    'echo HyperOS',
    `kernel --name vmlinuz vmlinuz ${words} || goto failed`,
    `initrd --name ${NETBOOT_CHECK} ${NETBOOT_CHECK} || goto failed`,
    `initrd --name ${NETBOOT_IMAGE} ${NETBOOT_IMAGE} || goto failed`,
    ...(options.signed ? verify : []),
    ':start',
    'boot || goto failed',
    ...failed()
  ])
}

/**
 * The script that lies beside the files of an image, for any HTTP server. iPXE itself puts the initrd
 * where the first stage looks for it. There are no words for an older iPXE's UEFI: without them the
 * kernel gets no initrd there, while with them it would unpack one that nobody checked.
 */
export function staticNetbootScript(architecture: Architecture, sha256: string): string {
  const words = `console=${serialConsole(architecture)} ${netbootWords({ sha256 })}`
  const manifest = 'manifest.json'
  return lines([
    '#!ipxe',
    '# Starts HyperOS from any HTTP server that has this folder. A script that chains to this one may set',
    '#   append  more words for the kernel, such as sshkey64=BASE64 and host=NAME',
    '#   pubkey  the minisign key that the manifest must be signed by',
    'echo HyperOS',
    'isset ${pubkey} && set signer dat.pubkey=${pubkey} ||',
    `kernel --name vmlinuz vmlinuz ${words} \${signer} \${append} || goto failed`,
    `initrd --name ${NETBOOT_CHECK} ${NETBOOT_CHECK} || goto failed`,
    `initrd --name ${manifest} ${manifest} /${NETBOOT_FOLDER}/${manifest} || goto failed`,
    'isset ${pubkey} || goto unsigned',
    `initrd --name signature ${manifest}.minisig /${NETBOOT_FOLDER}/${manifest}.minisig || goto failed`,
    ':unsigned',
    `initrd --name initrd initrd /${NETBOOT_FOLDER}/initrd || goto failed`,
    'boot || goto failed',
    ...failed()
  ])
}

function failed(): string[] {
  return [
    ':failed',
    `echo HyperOS was not started. Going on with the next device in ${FAILED_WAIT_S} seconds`,
    `sleep ${FAILED_WAIT_S}`,
    'exit 1'
  ]
}

function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`
}

/** iPXE splits at white space and knows no quotes: these words would be its own, or become others. */
function checkWords(commandLine: string): void {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  const control = /[\u0000-\u001f\u007f]/.test(commandLine)
  const words = commandLine.split(' ')
  const taken = words.find((word) => /^(#|&&$|\|\|$|;$)/.test(word) || word.includes('${'))
  if (!control && taken === undefined) return
  const what = control ? 'control characters' : JSON.stringify(taken)
  throw new ContainerError('USAGE', `iPXE would not pass this on to the kernel: ${what}`, {
    hint: 'leave it out of --append'
  })
}
