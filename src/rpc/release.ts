import { readFileSync } from 'node:fs'

/** This release's version, from the package's own package.json. */
export const RELEASE: string = readRelease()

function readRelease(): string {
  // Built files stand in build/src/daemon, sources in src/daemon, bundles in dist.
  for (const up of ['../../../package.json', '../../package.json', '../package.json']) {
    try {
      const text = readFileSync(new URL(up, import.meta.url), 'utf8')
      const parsed = JSON.parse(text) as { name?: string; version?: string }
      if (parsed.name === 'dat-container' && parsed.version) return parsed.version
    } catch {
      continue
    }
  }
  return 'unknown'
}
