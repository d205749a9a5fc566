/**
 * Bundles the programs into `dist/`, the JavaScript of their packages included: of what a command, a
 * mounter or a runner takes to start, most was finding and reading some two hundred files.
 *
 *   node build/scripts/bundle.js
 */
import { chmod, copyFile, mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, transform } from 'esbuild'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const TARGET = join(ROOT, 'dist')

/** They start each other by file name, so all stand in one folder. */
const PROGRAMS = [
  'cli/main',
  'daemon/daemon-main',
  'boot/runner/runner-main',
  'boot/mounter/mounter-main',
  'image/chunk/compress-worker',
  'image/source/read-worker',
  'p2p/drive/entries-worker',
  'program/installed-main'
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

/** Minified but for names, which stay for the sake of stack traces; ASCII, as the loader expects. */
const SHAPE = {
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  minifyWhitespace: true,
  charset: 'ascii',
  logLevel: 'warning'
} as const

// A bundle that was cut short must not look like one.
const partial = `${TARGET}.partial`
await rm(partial, { recursive: true, force: true })
await build({
  ...SHAPE,
  entryPoints: [join(ROOT, 'src/program/load.ts')],
  outfile: join(partial, 'load.cjs'),
  bundle: true,
  format: 'cjs'
})
for (const program of PROGRAMS) await bundle(program)
await bundlePage()
await chmod(join(partial, 'main.js'), 0o755)
await rm(TARGET, { recursive: true, force: true })
await rename(partial, TARGET)

/**
 * Each program by itself: parts that programs share would be forty files, each found, read and linked in
 * turn. Split where it loads late, and then made CommonJS file by file, as V8 keeps no compiled code
 * of ES modules and esbuild splits nothing else.
 */
async function bundle(program: string): Promise<void> {
  const name = basename(program)
  const { outputFiles, metafile } = await build({
    ...SHAPE,
    entryPoints: [join(ROOT, 'src', `${program}.ts`)],
    outdir: partial,
    entryNames: '[name]-[hash]',
    chunkNames: `${name}-[hash]`,
    outExtension: { '.js': '.cjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    external: [...NATIVE, ...NATIVE.map((name) => `${name}/*`), 'bare-*'],
    metafile: true,
    write: false
  })
  const entry = Object.keys(metafile.outputs).find(
    (path) => metafile.outputs[path]?.entryPoint?.endsWith(`${program}.ts`) === true
  )
  if (entry === undefined) throw new TypeError(`${program} gave no bundle`)
  for (const { path, text } of outputFiles) {
    const { code } = await transform(text, {
      ...SHAPE,
      format: 'cjs',
      // The loader's `require` knows the other files; Node.js's `import` would load them again.
      supported: { 'dynamic-import': false },
      define: { 'import.meta.url': '__bundleUrl' }
    })
    await writeFile(path, code)
  }
  await writeFile(join(partial, `${name}.js`), starter(name, basename(entry)))
}

/** The page that daemons serve, in a folder of its own. */
async function bundlePage(): Promise<void> {
  const [source, target] = [join(ROOT, 'src/page'), join(partial, 'page')]
  await mkdir(target, { recursive: true })
  await build({
    entryPoints: { page: join(source, 'main.ts'), 'page-style': join(source, 'page.css') },
    outdir: target,
    bundle: true,
    minify: true,
    format: 'iife',
    target: 'es2022',
    charset: 'utf8',
    logLevel: 'warning'
  })
  await rename(join(target, 'page-style.css'), join(target, 'page.css'))
  for (const name of ['index.html', 'icon.svg'])
    await copyFile(join(source, name), join(target, name))
}

/** What Node.js itself loads of a program. Threads load too little to keep code for, and an installation happens once. */
function starter(name: string, entry: string): string {
  // Without --, Node.js takes --env-file for its own where it is an argument of ours.
  const keep = name.endsWith('-worker') || name === 'installed-main' ? undefined : name
  return `#!/usr/bin/env -S node --
import{createRequire}from'node:module';import{dirname}from'node:path';import{fileURLToPath}from'node:url'
const file=fileURLToPath(import.meta.url)
createRequire(file)('./load.cjs').run(dirname(file),${JSON.stringify(entry)},${JSON.stringify(keep)})
`
}
