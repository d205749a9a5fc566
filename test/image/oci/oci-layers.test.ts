import { join } from 'node:path'
import test from 'brittle'
import { labelImage, plainImage, unpack } from '../oci-images.ts'
import { readLayout } from '../oci-reading.ts'
import { temporaryDirectory } from '../planted-tree.ts'
import { directoryLines } from '../tar-archives.ts'
import { tarOf } from '../tar-bytes.ts'
import { random } from '../trees.ts'
import type { PlainEntry } from '../tar-bytes.ts'

const VARIANTS = 30 * Number(process.env['DAT_CONTAINER_FUZZ_TIMES'] ?? 1)
const NAMES = ['a', 'b', 'c']

function directory(path: string, mode = 0o755): PlainEntry {
  return { path: `${path}/`, type: '5', mode }
}

function file(path: string, content = path): PlainEntry {
  return { path, content }
}

function symlink(path: string, link: string): PlainEntry {
  return { path, type: '2', link }
}

function hardlink(path: string, link: string): PlainEntry {
  return { path, type: '1', link }
}

/** `path type`, of a symlink with its target, of a file with its size, of a further name with the first. */
function outline(lines: readonly string[]): string[] {
  return lines.slice(1).map((line) => {
    const [path = '', type = '', first = '', , , , , target = ''] = line.split(' ')
    if (type === '=') return `${path} = ${first}`
    const size = line.split(' ').at(-2)
    return [path, type, ...(type === 'symlink' ? [target] : type === 'file' ? [size] : [])].join(
      ' '
    )
  })
}

const LOWER = [
  directory('target'),
  file('target/keep'),
  symlink('link', '/target'),
  symlink('dangling', '../../../nowhere'),
  symlink('loop', 'loop'),
  symlink('to-file', 'p'),
  file('p')
]
const LOWER_LINES = [
  'dangling symlink ../../../nowhere',
  'link symlink /target',
  'loop symlink loop',
  'p file 1',
  'target directory',
  'target/keep file 11',
  'to-file symlink p'
]

/** What a second layer makes of the first: lines that are gone, and those that are there instead. */
interface Case {
  readonly layer: readonly PlainEntry[]
  readonly gone?: readonly string[]
  readonly come: readonly string[]
}

const LINK_GONE = 'link symlink /target'
const LINK_IS_DIRECTORY = { gone: [LINK_GONE], come: ['link directory'] }
const WITH_N = { gone: [LINK_GONE], come: ['link directory', 'link/n file 6'] }
const OPAQUE = file('link/.wh..wh..opq', '')
/** As buildah 1.28 with its overlay driver has them, each tried; where it refuses, as containerd's source says. */
const CASES: Record<string, Case> = {
  'opaque below a symlink, then the directory': {
    layer: [OPAQUE, directory('link'), file('link/n')],
    ...WITH_N
  },
  'the directory, then opaque': { layer: [directory('link'), OPAQUE, file('link/n')], ...WITH_N },
  'opaque below a symlink alone': { layer: [OPAQUE], ...LINK_IS_DIRECTORY },
  'a whiteout below a symlink': { layer: [file('link/.wh.keep', '')], ...LINK_IS_DIRECTORY },
  'the same, then the directory': {
    layer: [file('link/.wh.keep', ''), directory('link')],
    ...LINK_IS_DIRECTORY
  },
  'an entry below a symlink to a directory': { layer: [file('link/n')], ...WITH_N },
  'an entry below a dangling symlink': {
    layer: [file('dangling/x')],
    gone: ['dangling symlink ../../../nowhere'],
    come: ['dangling directory', 'dangling/x file 10']
  },
  'an entry below a symlink loop': {
    layer: [file('loop/x')],
    gone: ['loop symlink loop'],
    come: ['loop directory', 'loop/x file 6']
  },
  'an entry below a symlink to a file': {
    layer: [file('to-file/x')],
    gone: ['to-file symlink p'],
    come: ['to-file directory', 'to-file/x file 9']
  },
  'an entry below a file': {
    layer: [file('p/x')],
    gone: ['p file 1'],
    come: ['p directory', 'p/x file 3']
  },
  'an entry below a symlink of the same layer': {
    layer: [symlink('s', '../../up/and/out'), file('s/x')],
    come: ['s symlink ../../up/and/out', 'up directory', 'up/and directory'].concat(
      'up/and/out directory',
      'up/and/out/x file 3'
    )
  },
  'a symlink of the layer into the layer below': {
    layer: [symlink('s', 'target'), file('s/x')],
    come: ['s symlink target', 'target/x file 3']
  },
  'a whiteout in a directory that nothing has': {
    layer: [file('x/y/.wh.nothing', '')],
    come: ['x directory', 'x/y directory']
  },
  'a hardlink to what the layer removes': {
    layer: [file('.wh.p', ''), hardlink('q', 'p'), hardlink('target/keep', 'p')],
    gone: ['p file 1', 'target/keep file 11'],
    come: []
  },
  'a hardlink to a file below, which is then removed': {
    layer: [hardlink('q', 'p'), file('.wh.p', '')],
    gone: ['p file 1'],
    come: ['q file 1']
  },
  'a hardlink into the layer below by a symlink of the layer': {
    layer: [symlink('s', 'target'), hardlink('q', 's/keep')],
    gone: ['target/keep file 11'],
    come: ['q file 11', 's symlink target', 'target/keep = q']
  },
  'a whiteout below what has become a file': {
    layer: [file('target'), file('target/.wh.keep', ''), file('target/.wh..wh..opq', '')],
    gone: ['target directory', 'target/keep file 11'],
    come: ['target file 6']
  },
  'whiteouts that are hardlinks': {
    layer: [file('.wh.p', ''), hardlink('target/.wh.keep', '.wh.p')],
    gone: ['p file 1', 'target/keep file 11'],
    come: []
  },
  'hardlinks that AUFS kept': {
    layer: [
      directory('.wh..wh.plnk'),
      file('.wh..wh.plnk/1.2', 'linked'),
      hardlink('q', '.wh..wh.plnk/1.2'),
      hardlink('r', '/.wh..wh.plnk/1.2'),
      file('.wh..wh.plnk/3.4', 'of no name'),
      file('.wh..wh.aufs', ''),
      file('target/.wh..wh.plnk/x', 'not in the root')
    ],
    come: ['q file 6', 'r = q']
  }
}

void test('a layer is laid over those below as overlayfs does it', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const read = async (title: string, ...layers: (readonly PlainEntry[])[]): Promise<string[]> => {
    const archives = layers.map((layer) => tarOf(...layer))
    return outline((await readLayout(plainImage(join(place.path, title), ...archives))).lines)
  }
  t.alike(await read('lower', LOWER), LOWER_LINES, 'the layer below')
  for (const [title, { layer, gone = [], come }] of Object.entries(CASES)) {
    const expected = LOWER_LINES.filter((line) => !gone.includes(line)).concat(come)
    t.alike(await read(title, LOWER, layer), expected.toSorted(), title)
  }
})

void test('directories keep what the layer below says of them, but for what a layer says', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const modes = async (title: string, layer: PlainEntry[]): Promise<string[]> => {
    const lower = tarOf(directory('d', 0o700), file('d/old'), directory('e', 0o711))
    const { lines } = await readLayout(plainImage(join(place.path, title), lower, tarOf(...layer)))
    return lines.slice(1).map((line) => line.split(' ').slice(0, 3).join(' '))
  }
  const both = ['d/new file 644', 'd/old file 644', 'e directory 711']
  t.alike(await modes('implied', [file('d/new')]), ['d directory 700', ...both])
  const named = [directory('d', 0o750), file('d/new')]
  t.alike(await modes('named', named), ['d directory 750', ...both])
  t.alike(await modes('named late', named.toReversed()), ['d directory 750', ...both])
})

void test('layers of any content are what umoci unpacks', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const next = random(34)
  for (let n = 0; n < VARIANTS; n++) {
    const layers = [layerOf(next), layerOf(next), layerOf(next)]
    const layout = plainImage(join(place.path, String(n)), ...layers.map((l) => tarOf(...l)))
    labelImage(layout, 'app')
    const expected = await directoryLines(unpack(layout, join(place.path, `bundle ${n}`)))
    const { lines } = await readLayout(layout)
    t.alike(outline(lines), outline(expected), JSON.stringify(layers))
  }
})

/** A layer that says what each directory on the way is, as programs that make images do. */
function layerOf(next: () => number): PlainEntry[] {
  const entries: PlainEntry[] = []
  const files: string[] = []
  const fill = (prefix: string, depth: number): void => {
    const own: PlainEntry[] = []
    if (prefix !== '' && next() < 0.2) own.push(file(`${prefix}.wh..wh..opq`, ''))
    for (const name of NAMES) {
      const path = `${prefix}${name}`
      const kind = next()
      if (kind < 0.15) own.push(file(`${prefix}.wh.${name}`, ''))
      else if (kind < 0.35) {
        own.push(file(path, 'x'.repeat(Math.floor(next() * 2000))))
        files.push(path)
      } else if (kind < 0.45) own.push(symlink(path, NAMES[Math.floor(next() * 3)]!))
      else if (kind < 0.55 && files.length > 0) {
        own.push(hardlink(path, files[Math.floor(next() * files.length)]!))
      } else if (kind < 0.8 && depth < 3) {
        if (next() < 0.2) own.push(file(`${prefix}.wh.${name}`, ''))
        entries.push(...own.splice(0), directory(path, 0o700 + Math.floor(next() * 64)))
        fill(`${path}/`, depth + 1)
      }
    }
    entries.push(...own)
  }
  fill('', 0)
  return entries
}
