import { ContainerError } from '../errors.ts'

/** What an image runs on, in the names that Go has for it. */
export interface Platform {
  readonly os: string
  readonly arch: string
  readonly variant?: string
}

const NODE_ARCHS: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386' }
const MACHINE_NAMES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  aarch64: 'arm64',
  i386: '386',
  i686: '386',
  armhf: 'arm'
}
/** What an architecture means where nobody names its variant. */
const DEFAULT_VARIANTS: Readonly<Record<string, string>> = { arm: 'v7', arm64: 'v8' }

export function hostPlatform(): Platform {
  return { os: 'linux', arch: NODE_ARCHS[process.arch] ?? process.arch }
}

/**
 * Reads `os/arch[/variant]`, or an architecture alone.
 *
 * @throws ContainerError `USAGE`
 */
export function parsePlatform(text: string): Platform {
  const [os = '', arch = '', variant, ...rest] = text.includes('/')
    ? text.split('/')
    : ['linux', text]
  const isWord = (word: string): boolean => /^[\w.-]+$/.test(word)
  if (rest.length > 0 || ![os, arch, variant ?? 'x'].every(isWord)) {
    throw new ContainerError('USAGE', `not a platform: ${JSON.stringify(text)}`, {
      hint: 'write it as linux/arm64 or linux/arm/v7'
    })
  }
  if (os !== 'linux') {
    throw new ContainerError('USAGE', `images of ${os} cannot be shared`, {
      hint: 'name a platform of linux'
    })
  }
  return {
    os,
    arch: MACHINE_NAMES[arch] ?? arch,
    ...(variant === undefined ? {} : { variant })
  }
}

export function platformText({ os, arch, variant }: Platform): string {
  return [os, arch, ...(variant === undefined ? [] : [variant])].join('/')
}

/** Whether what there is does for what is wanted, and how well: 0 not at all. */
export function platformRank(there: Platform, wanted: Platform): number {
  if (there.os !== wanted.os || there.arch !== wanted.arch) return 0
  const usual = DEFAULT_VARIANTS[wanted.arch]
  const variant = wanted.variant ?? usual
  if ((there.variant ?? usual) === variant) return 2
  return wanted.variant === undefined ? 1 : 0
}
