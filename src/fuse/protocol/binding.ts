import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname } from 'node:path'
import { ContainerError, systemErrorCode } from '../../core/errors.ts'
import { needsLinux } from '../../core/host/system-calls.ts'
import type { FuseAddon, FuseConstructor } from './fuse-native-types.ts'

export interface FuseBinding {
  readonly Fuse: FuseConstructor
  readonly addon: FuseAddon
  /** Which libfuse serves: the system's, or the one that the npm package bundles. */
  readonly library: 'system' | 'bundled'
}

/** dlopen(3): keep the library when Node.js closes it again because it is no addon. */
const RTLD_NODELETE = 0x1000

let loaded: FuseBinding | undefined

/**
 * Loads fuse-native. Its addon links against libfuse.so.2, which a bare machine lacks; then the
 * library that `fuse-shared-library` bundles (same soname) is loaded first, and the dynamic linker
 * takes that.
 *
 * @throws ContainerError `MISSING_TOOL` when neither library works on this machine
 */
export function loadFuse(): FuseBinding {
  loaded ??= load()
  return loaded
}

function load(): FuseBinding {
  if (process.platform !== 'linux') throw needsLinux('to mount an image')
  const require = createRequire(import.meta.url)
  try {
    return { ...requireFuse(require), library: 'system' }
  } catch (cause) {
    if (!(cause instanceof Error && cause.message.includes('libfuse'))) throw unusable(cause)
  }
  try {
    preload((require('fuse-shared-library') as { lib: string }).lib)
    return { ...requireFuse(require), library: 'bundled' }
  } catch (cause) {
    throw unusable(cause)
  }
}

function requireFuse(require: NodeJS.Require): Pick<FuseBinding, 'Fuse' | 'addon'> {
  const entry = require.resolve('fuse-native')
  const Fuse = require(entry) as FuseConstructor
  // fuse-native keeps its addon to itself; the same loader hands out the same instance again.
  const addonOf = createRequire(entry)('node-gyp-build') as (directory: string) => FuseAddon
  return { Fuse, addon: addonOf(dirname(entry)) }
}

/** Loads a plain shared library. Node.js complains that it is no addon, after it was loaded. */
function preload(library: string): void {
  const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen
  try {
    process.dlopen({ exports: {} }, library, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE)
  } catch (error) {
    if (!(error instanceof Error && error.message.includes('did not self-register'))) throw error
  }
}

function unusable(cause: unknown): ContainerError {
  if (systemErrorCode(cause) === 'MODULE_NOT_FOUND') {
    return new ContainerError('MISSING_TOOL', 'the module fuse-native is not installed', {
      hint: 'npm leaves it out where it cannot be built: install gcc, g++, make and python3, then dat-container again',
      cause
    })
  }
  return new ContainerError('MISSING_TOOL', 'libfuse does not load on this machine', {
    hint: 'install libfuse 2 (Debian, Ubuntu: apt-get install libfuse2)',
    cause
  })
}
