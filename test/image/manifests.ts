import { MANIFEST_FORMAT, MANIFEST_FORMAT_VERSION } from '../../src/image/format/manifest.ts'
import type { Manifest } from '../../src/image/format/manifest.ts'

/** A manifest with every optional field. */
export function fullManifest(): Manifest {
  const part = (block: number) => ({
    block,
    blocks: 2,
    storedBytes: 70_000,
    bytes: 200_000,
    digest: `sha256:${'0a'.repeat(32)}`
  })
  return {
    format: MANIFEST_FORMAT,
    formatVersion: MANIFEST_FORMAT_VERSION,
    version: 2,
    name: 'débian',
    description: 'A tree – with systemd',
    arch: 'amd64',
    os: 'linux',
    created: '2026-01-02T03:04:05.678Z',
    source: { kind: 'directory' },
    start: {
      mode: 'process',
      argv: ['/bin/sh', '-c', 'echo a\necho b'],
      env: ['PATH=/bin', 'EMPTY='],
      cwd: '/srv',
      user: 'www-data:www-data',
      stopSignal: 'SIGQUIT',
      exposedPorts: ['80/tcp'],
      entrypoint: 2,
      volumes: ['/data'],
      healthcheck: { test: ['CMD', 'true'], intervalMs: 5000, retries: 3 },
      labels: { maintainer: 'a\nb', __proto__x: '' }
    },
    files: 3,
    entries: 5,
    bytes: 1_000_000,
    storedBytes: 300_000,
    chunks: 16,
    index: part(20),
    chunkHashes: part(22),
    profile: part(24),
    versions: [
      {
        version: 1,
        blocks: 12,
        created: '2026-01-01T00:00:00Z',
        message: 'first',
        files: 2,
        bytes: 10,
        newBytes: 10
      },
      {
        version: 2,
        blocks: 27,
        created: '2026-01-02T03:04:05.678Z',
        files: 3,
        bytes: 1_000_000,
        newBytes: 5
      }
    ]
  }
}
