/**
 * Bundles the programs into `dist/`, the JavaScript of their packages included: of what a command, a
 * mounter or a runner takes to start, most was finding and reading some two hundred files.
 *
 *   node build/scripts/bundle.js
 */
import { rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const TARGET = join(ROOT, 'dist')

/** They start each other by file name, so all stand in one folder. */
const PROGRAMS = [
  'cli/main',
  'daemon/daemon-main',
  'boot/runner-main',
  'boot/mounter-main',
  'image/compress-worker',
  'image/read-worker'
]

/** Packages that look for their native parts beside their own files. */
const NATIVE = [
  'crc-native',
  'fs-native-extensions',
  'fuse-native',
  'fuse-shared-library',
  'koffi',
  'quickbit-native',
  'rabin-native',
  'rocksdb-native',
  'simdle-native',
  'sodium-native',
  'udx-native',
  'zstd-napi'
]

// A bundle that was cut short must not look like one.
const partial = `${TARGET}.partial`
await rm(partial, { recursive: true, force: true })
for (const program of PROGRAMS) {
  // Each by itself: parts that programs share would be forty files, each found, read and linked in turn.
  await build({
    entryPoints: [join(ROOT, 'src', `${program}.ts`)],
    outdir: partial,
    entryNames: '[name]',
    chunkNames: `${basename(program)}-[hash]`,
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: [...NATIVE, ...NATIVE.map((name) => `${name}/*`), 'bare-*'],
    // Names stay, for the sake of stack traces.
    minifySyntax: true,
    minifyWhitespace: true,
    // Packages that are CommonJS ask for Node's own modules by `require`.
    banner: {
      js: "import { createRequire as createRequireOfBundle } from 'node:module'\nconst require = createRequireOfBundle(import.meta.url)"
    },
    logLevel: 'warning'
  })
}
await rm(TARGET, { recursive: true, force: true })
await rename(partial, TARGET)
