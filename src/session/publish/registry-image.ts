import { join } from 'node:path'
import { execa } from 'execa'
import type { CleanupStack } from '../../core/cleanup-stack.ts'
import { ContainerError, type ErrorCode } from '../../core/errors.ts'
import { DirectoryBlobs } from '../../image/oci/blob-store.ts'
import type { ContainerImage } from '../../image/oci/container-image.ts'
import { findOciImage, noPlatform } from '../../image/oci/oci-layout.ts'
import { hostPlatform, type Platform } from '../../image/oci/platform.ts'
import { temporaryDirectory } from '../../core/temporary-directory.ts'

export interface RegistryOptions {
  /** @default this machine's, or whichever there is if it is the only one */
  readonly platform?: Platform
  /** Login file of skopeo, podman or docker. @default where skopeo looks */
  readonly authfile?: string
  /** Allow HTTP, and certificates that nobody vouches for. @default false */
  readonly insecure?: boolean
  readonly signal: AbortSignal
}

interface RawManifest {
  readonly manifests?: readonly {
    readonly platform?: { os?: string; architecture?: string; variant?: string }
  }[]
}

const TAG = 'image'
const KILL_DELAY_MS = 2_000
const MAX_MESSAGE = 400

/** Errors by text in skopeo's messages. */
const FAILURES: readonly (readonly [message: RegExp, code: ErrorCode, hint: string])[] = [
  [/no space left on device/, 'DISK_FULL', 'free some space, or set TMPDIR to a larger disk'],
  [
    /manifest unknown|name unknown|repository name not known|not found/i,
    'NOT_FOUND',
    'check the name and the tag'
  ],
  [
    /unauthorized|authentication required|access .*denied/i,
    'IO',
    'log in with skopeo login, or give --authfile'
  ],
  [
    /server gave HTTP response|x509|certificate/,
    'IO',
    'if you expect that from this registry: --insecure-registry'
  ]
]

/**
 * Fetches an image from a registry into a temporary OCI layout, compressed as it is there. skopeo's configuration
 * decides about logins and mirrors.
 *
 * @param cleanup removes the layout
 * @throws ContainerError `MISSING_TOOL`, `NOT_FOUND` for an image or a platform that does not exist, `BAD_SOURCE`,
 *   `IO`, `DISK_FULL`, `CANCELLED`
 */
export async function fetchRegistryImage(
  name: string,
  options: RegistryOptions,
  cleanup: CleanupStack
): Promise<ContainerImage> {
  const { platform, signal } = options
  const layout = join(await temporaryDirectory(cleanup), 'layout')
  const overrides = platform
    ? [
        `--override-os=${platform.os}`,
        `--override-arch=${platform.arch}`,
        ...(platform.variant === undefined ? [] : [`--override-variant=${platform.variant}`])
      ]
    : ['--override-os=linux']
  const args = ['copy', '--quiet', ...sourceFlags('src-tls-verify', options)]
  const copied = await skopeo(
    [...overrides, ...args, `docker://${name}`, `oci:${layout}:${TAG}`],
    signal
  )
  if (copied.error !== undefined) {
    const wanted = platform ?? hostPlatform()
    if (/no image found in/.test(copied.error)) {
      const there = await platformsOf(name, options)
      if (there.length > 0) throw noPlatform(wanted, there)
    }
    throw failure(name, copied.error)
  }
  const choice = platform === undefined ? {} : { platform }
  return findOciImage(new DirectoryBlobs(layout), 'registry', choice)
}

function sourceFlags(tlsVerify: string, { authfile, insecure }: RegistryOptions): string[] {
  return [
    ...(authfile === undefined ? [] : [`--authfile=${authfile}`]),
    ...(insecure === true ? [`--${tlsVerify}=false`] : [])
  ]
}

async function platformsOf(name: string, options: RegistryOptions): Promise<Platform[]> {
  const flags = sourceFlags('tls-verify', options)
  const { stdout } = await skopeo(
    ['inspect', '--raw', ...flags, `docker://${name}`],
    options.signal
  )
  try {
    const { manifests = [] } = JSON.parse(stdout) as RawManifest
    return manifests.flatMap(({ platform = {} }) => {
      const { os, architecture: arch, variant } = platform
      if (typeof os !== 'string' || typeof arch !== 'string' || os === 'unknown') return []
      return [{ os, arch, ...(typeof variant === 'string' && variant ? { variant } : {}) }]
    })
  } catch {
    return []
  }
}

/** @returns what it printed, and what it complained of when it failed */
async function skopeo(
  args: readonly string[],
  signal: AbortSignal
): Promise<{ stdout: string; error?: string }> {
  const ran = await execa('skopeo', args, {
    reject: false,
    stdin: 'ignore',
    cancelSignal: signal,
    forceKillAfterDelay: KILL_DELAY_MS
  })
  if (ran.isCanceled) throw new ContainerError('CANCELLED', 'cancelled', { cause: signal.reason })
  if (ran.code === 'ENOENT') {
    throw new ContainerError('MISSING_TOOL', 'skopeo is needed to fetch an image from a registry', {
      hint: 'install it (on Debian: apt install skopeo)'
    })
  }
  if (ran.exitCode === 0) return { stdout: ran.stdout }
  return { stdout: ran.stdout, error: complaint(ran.stderr) || `skopeo ended with ${ran.exitCode}` }
}

/** The message of a line `time=… level=fatal msg="…"`. */
function complaint(stderr: string): string {
  const line = stderr.trim().split('\n').at(-1) ?? ''
  const quoted = /msg=("(?:[^"\\]|\\.)*")/.exec(line)?.[1]
  if (quoted === undefined) return line
  try {
    return String(JSON.parse(quoted))
  } catch {
    return quoted
  }
}

function failure(name: string, error: string): ContainerError {
  const known = FAILURES.find(([message]) => message.test(error))
  const text = error.replaceAll(/\s+/g, ' ').slice(0, MAX_MESSAGE)
  const hint = known?.[2]
  return new ContainerError(known?.[1] ?? 'IO', `cannot fetch ${name}: ${text}`, {
    ...(hint === undefined ? {} : { hint })
  })
}
