import type { FileTree } from './file-tree.ts'
import type { ManifestFile } from './manifest.ts'

const ROWS = 10

/**
 * What was built and the ten largest parts of the initrd, as two Markdown tables. A part is what stands for itself: a
 * library, a program, the packages of the tool.
 */
export function largestParts(
  tree: FileTree,
  files: readonly ManifestFile[],
  archiveBytes: number
): string[] {
  const parts = new Map<string, number>()
  for (const [path, node] of tree.sorted()) {
    if (node.kind !== 'file') continue
    const part = partOf(path)
    parts.set(part, (parts.get(part) ?? 0) + node.content.length)
  }
  const largest = [...parts].sort(([, a], [, b]) => b - a).slice(0, ROWS)
  const boot = files.filter(({ name }) => name === 'vmlinuz' || name === 'initrd')
  const total = boot.reduce((sum, { bytes }) => sum + bytes, 0)
  return [
    ...markdown(
      ['file', 'MB'],
      [
        ...boot.map(({ name, bytes }) => [name, megabytes(bytes)]),
        ['together', megabytes(total)],
        ['initrd, unpacked', megabytes(archiveBytes)]
      ]
    ),
    '',
    ...markdown(
      ['largest parts of the initrd', 'MB, unpacked'],
      largest.map(([name, bytes]) => [`\`${name}\``, megabytes(bytes)])
    )
  ]
}

function partOf(path: string): string {
  const [, tool] =
    /^(usr\/lib\/dat-container\/(?:dist|node_modules\/(?:@[^/]+\/)?[^/]+))/.exec(path) ?? []
  const [, node] = /^(usr\/share\/nodejs)\//.exec(path) ?? []
  return tool ?? node ?? path
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}

/** As prettier lays tables: columns padded to their widest cell, numbers not to the right. */
function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0))
  )
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)]
}
