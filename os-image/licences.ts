import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ROOT } from './paths.ts'
import type { NodePackage } from './node-packages.ts'

const LICENCE_FILE = /^(licen[cs]e|copying|notice)(\.|-|$)/i

/**
 * The terms of everything in the image, as one text: the copyright file of each Debian package, the
 * licence files of each npm package, and this project's own.
 */
export async function licences(
  copyrights: ReadonlyMap<string, string>,
  nodePackages: readonly NodePackage[]
): Promise<string> {
  const parts = [section('dat-container', await licenceFiles(ROOT))]
  for (const [name, text] of [...copyrights].sort(([a], [b]) => (a < b ? -1 : 1))) {
    parts.push(section(`Debian package ${name}`, text))
  }
  for (const { name, version, license, folder } of nodePackages) {
    const text = await licenceFiles(folder)
    parts.push(section(`npm package ${name} ${version}`, text === '' ? license : text))
  }
  return parts.join('\n')
}

async function licenceFiles(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => LICENCE_FILE.test(name)).sort()
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return texts.join('\n')
}

function section(title: string, text: string): string {
  return `${'='.repeat(78)}\n${title}\n${'='.repeat(78)}\n\n${text.trimEnd()}\n`
}
