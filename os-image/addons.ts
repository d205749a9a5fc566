import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ContainerError } from '../src/core/errors.ts'
import { run } from './command.ts'
import { ROOT } from './paths.ts'
import { toolPrefix, type Target } from './target.ts'
import type { FileTree } from './file-tree.ts'

/** A native part that its package brings no prebuilt file of for every processor. */
export interface Addon {
  readonly package: string
  /** What node-gyp makes, below the package's folder. */
  readonly made: string
  /** Where the package looks for it, below its folder. */
  readonly place: (target: Target) => string
}

export const ADDONS: readonly Addon[] = [
  {
    package: 'fuse-native',
    made: 'build/Release/fuse.node',
    place: ({ nodeArch }) => `prebuilds/linux-${nodeArch}/node.napi.node`
  },
  {
    package: 'zstd-napi',
    made: 'build/Release/binding.node',
    place: () => 'build/Release/binding.node'
  }
]

const LIBFUSE = 'libfuse.so.2'

/**
 * Builds a package's native part for the target, from the package's own source and rules.
 *
 * @param tree with the libraries that it links against
 * @param headers Debian packages with Node's headers and libuv's
 * @throws ContainerError `IO`, `MISSING_TOOL`, `NOT_FOUND`
 */
export async function buildAddon(
  addon: Addon,
  target: Target,
  tree: FileTree,
  headers: readonly string[]
): Promise<Buffer> {
  const nodeGyp = process.env['npm_config_node_gyp']
  if (nodeGyp === undefined) {
    throw new ContainerError(
      'NOT_FOUND',
      `${addon.package} cannot be built without npm’s node-gyp`,
      {
        hint: 'start the build by npm: npm run os-image'
      }
    )
  }
  const folder = await mkdtemp(join(tmpdir(), 'addon-'))
  try {
    const source = join(folder, addon.package)
    const installed = join(ROOT, 'node_modules', addon.package)
    const isSource = (path: string): boolean => path !== join(installed, 'build')
    await cp(installed, source, { recursive: true, filter: isSource })
    await addLibfuse(join(folder, 'modules'), target, tree)
    for (const deb of headers) await run('dpkg-deb', ['-x', deb, join(folder, 'headers')])
    const prefix = toolPrefix(target)
    // Neither paths of this build nor a number made of them are in what it makes.
    const include = join(folder, 'headers/usr/include')
    const flags = `-I${include} -g0 -ffile-prefix-map=${folder}=.`
    const nodeFolder = join(include, 'nodejs')
    const gyp = ['rebuild', '--release', `--arch=${target.nodeArch}`, `--nodedir=${nodeFolder}`]
    await run('nice', ['-n', '19', process.execPath, nodeGyp, ...gyp], {
      cwd: source,
      env: {
        CC: `${prefix}gcc`,
        CXX: `${prefix}g++`,
        AR: `${prefix}ar`,
        LINK: `${prefix}g++`,
        CFLAGS: flags,
        CXXFLAGS: flags,
        LDFLAGS: '-Wl,--build-id=none',
        NODE_PATH: [join(folder, 'modules'), join(ROOT, 'node_modules')].join(':')
      }
    })
    return await readFile(join(source, addon.made))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/**
 * A package `fuse-shared-library` that answers fuse-native's rules with the image's own libfuse: the
 * npm package has the library for this machine alone.
 *
 * @param modules a folder for NODE_PATH, made here
 * @throws ContainerError `NOT_FOUND`
 */
async function addLibfuse(modules: string, { triplet }: Target, tree: FileTree): Promise<void> {
  const folder = join(modules, 'fuse-shared-library')
  await mkdir(folder, { recursive: true })
  const library = join(folder, LIBFUSE)
  await writeFile(library, tree.content(`usr/lib/${triplet}/${LIBFUSE}`))
  const include = join(ROOT, 'node_modules/fuse-shared-library-linux/libfuse/include')
  await writeFile(join(folder, 'lib.js'), `console.log(${JSON.stringify(library)})\n`)
  await writeFile(join(folder, 'include.js'), `console.log(${JSON.stringify(include)})\n`)
}
