import { ContainerError } from '../../core/errors.ts'

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
const DEFAULT_VARIANTS: Readonly<Record<string, string>> = { amd64: 'v1', arm: 'v7', arm64: 'v8' }

/** Rank of the very variant that is wanted. */
const SAME_VARIANT = 1000

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

/**
 * Whether what there is does for what is wanted, and how well: 0 not at all, and else the more the
 * better. A processor runs what is for lower variants of it too, as containerd has it: `arm/v7` what is
 * for `v6` and `v5`, `amd64/v3` what is for `v2` and `v1`. What is for a higher one does only where no
 * variant is named.
 */
export function platformRank(there: Platform, wanted: Platform): number {
  if (there.os !== wanted.os || there.arch !== wanted.arch) return 0
  const usual = DEFAULT_VARIANTS[wanted.arch]
  const [has, wants] = [there.variant ?? usual, wanted.variant ?? usual]
  if (has === wants) return SAME_VARIANT
  const [hasNumber, wantsNumber] = [variantNumber(has), variantNumber(wants)]
  if (hasNumber === wantsNumber && hasNumber !== undefined) return SAME_VARIANT
  if (hasNumber !== undefined && wantsNumber !== undefined && hasNumber < wantsNumber) {
    return Math.max(2, SAME_VARIANT - (wantsNumber - hasNumber))
  }
  if (wanted.variant !== undefined) return 0
  // Rather the one that most processors run.
  return 1 / (1 + (hasNumber ?? SAME_VARIANT))
}

/** `v7` and `7` are the same. */
function variantNumber(variant: string | undefined): number | undefined {
  const digits = /^v?(\d{1,3}(?:\.\d{1,3})?)$/.exec(variant ?? '')?.[1]
  return digits === undefined ? undefined : Number(digits)
}
