import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ContainerError } from '../src/core/errors.ts'
import { run } from './command.ts'
import { PathPatterns } from './patterns.ts'
import { SOURCE } from './paths.ts'
import type { FileTree } from './file-tree.ts'
import { toolPrefix, type Target } from './target.ts'

const LIBRARY = /^usr\/lib\/[^/]+-linux-gnu\/libicudata\.so\.(\d+)\.\d+$/
const FORMAT = Buffer.from('CmnD')
/** Offset of {@link FORMAT}, after two lengths, two magic bytes and the rest of UDataInfo. */
const FORMAT_OFFSET = 12
const ITEM_ALIGNMENT = 16

/**
 * Puts a library in the place of ICU's data library that holds only the items of `icu-keep.list`.
 *
 * @throws ContainerError `BAD_SOURCE` where the data is of another format, `IO`, `MISSING_TOOL`
 */
export async function trimIcu(tree: FileTree, target: Target): Promise<void> {
  const found = tree.sorted().find(([path]) => LIBRARY.test(path))
  if (found === undefined || found[1].kind !== 'file') {
    throw new ContainerError('BAD_SOURCE', 'the packages have no ICU data')
  }
  const [path, library] = found
  const major = LIBRARY.exec(path)?.[1] ?? ''
  const keep = new PathPatterns(await readFile(join(SOURCE, 'icu-keep.list'), 'utf8'))
  const data = trimIcuData(library.content, (name) => keep.has(name))
  tree.set(path, {
    ...library,
    content: await dataLibrary(data, major, `${toolPrefix(target)}gcc`)
  })
}

/**
 * ICU's common data with some of its items (format "CmnD", icu4c's `source/common/ucmndata.h`): a header, a
 * count, a table of offsets of name and content each from the count on, names, contents.
 *
 * @param content in which the data lies somewhere
 * @throws ContainerError `BAD_SOURCE`
 */
export function trimIcuData(content: Buffer, isKept: (name: string) => boolean): Buffer {
  const start = content.indexOf(FORMAT) - FORMAT_OFFSET
  if (start < 0 || content.readUInt16BE(start + 2) !== 0xda27) {
    throw new ContainerError('BAD_SOURCE', 'the ICU library has no common data')
  }
  const header = content.subarray(start, start + content.readUInt16LE(start))
  const table = start + header.length
  const count = content.readUInt32LE(table)
  const all = Array.from({ length: count }, (_, index) => {
    const at = table + 4 + index * 8
    const name = table + content.readUInt32LE(at)
    return {
      name: content.toString('latin1', name, content.indexOf(0, name)),
      offset: table + content.readUInt32LE(at + 4)
    }
  })
  // The length of the last item is not told. It is a language, by its name, and goes.
  const items = all.flatMap(({ name, offset }, index) => {
    const end = all[index + 1]?.offset
    const isIn = end !== undefined && isKept(name.slice(name.indexOf('/') + 1))
    return isIn
      ? [{ name: Buffer.from(`${name}\0`, 'latin1'), data: content.subarray(offset, end) }]
      : []
  })
  return Buffer.concat([header, ...itemParts(items)])
}

function itemParts(items: readonly { name: Buffer; data: Buffer }[]): Buffer[] {
  const table = Buffer.alloc(4 + items.length * 8)
  table.writeUInt32LE(items.length)
  let nameOffset = table.length
  const names = items.map(({ name }, index) => {
    table.writeUInt32LE(nameOffset, 4 + index * 8)
    nameOffset += name.length
    return name
  })
  let offset = nameOffset
  const contents = items.flatMap(({ data }, index) => {
    const padding = Buffer.alloc(-offset & (ITEM_ALIGNMENT - 1))
    offset += padding.length
    table.writeUInt32LE(offset, 8 + index * 8)
    offset += data.length
    return [padding, data]
  })
  return [table, ...names, ...contents]
}

/** A shared library with nothing but the data, under the name that ICU links against. */
async function dataLibrary(data: Buffer, major: string, compiler: string): Promise<Buffer> {
  const symbol = `icudt${major}_dat`
  const folder = await mkdtemp(join(tmpdir(), 'icu-'))
  try {
    await writeFile(join(folder, 'data'), data)
    await writeFile(
      join(folder, 'data.S'),
      [
        '.section .rodata',
        `.global ${symbol}`,
        `.type ${symbol}, @object`,
        `.size ${symbol}, ${data.length}`,
        '.balign 16',
        `${symbol}: .incbin "data"`,
        '.section .note.GNU-stack,"",@progbits',
        ''
      ].join('\n')
    )
    const linker = `-Wl,-soname,libicudata.so.${major},--build-id=none`
    await run(compiler, ['-shared', '-nostdlib', '-s', linker, '-o', 'data.so', 'data.S'], {
      cwd: folder
    })
    return await readFile(join(folder, 'data.so'))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
