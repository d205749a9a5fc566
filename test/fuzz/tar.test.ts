import test from 'brittle'
import * as fc from 'fast-check'
import { ArchiveTree } from '../../src/image/tar/archive-tree.ts'
import { ByteStream } from '../../src/image/tar/byte-stream.ts'
import { parseTarHeader, TAR_RECORD_BYTES } from '../../src/image/tar/tar-header.ts'
import { TarReader } from '../../src/image/tar/tar-reader.ts'
import { headerOffsets, tarOf, writeChecksum } from '../image/tar-bytes.ts'
import { walk } from '../../src/image/tree/walk.ts'
import type { Tree } from '../../src/image/tree/tree.ts'
import { fuzz } from './fuzz.ts'
import { mutate, mutations } from './mutations.ts'
import type { Mutation } from './mutations.ts'

const MINUTES_5 = { timeout: 300_000 }

const PAX = [
  'path=a/long/way/to/go',
  'mtime=-1.000000001',
  'size=5',
  'SCHILY.xattr.user.note=kept',
  'SCHILY.acl.access=user::rw-,user:1000:r--,group::r--,mask::r--,other::r--',
  'hdrcharset=BINARY'
]

/** A pax record says how long it is, its length included. */
function paxRecord(text: string): string {
  const rest = ` ${text}\n`
  let length = rest.length + 1
  while (`${length}${rest}`.length !== length) length++
  return `${length}${rest}`
}

const SPARSE = ['GNU.sparse.major=1', 'GNU.sparse.minor=0', 'GNU.sparse.name=s']
const MAP = '1\n131072\n5\n'.padEnd(TAR_RECORD_BYTES, '\0')
const PLAIN = tarOf(
  { path: './', type: '5' },
  { path: 'etc/passwd', content: 'root:x:0:0::/:/bin/sh\n' },
  { path: 'x', type: 'x', content: PAX.map(paxRecord).join('') },
  { path: 'cut', content: 'five!' },
  { path: 'l', type: 'L', content: `${'n'.repeat(120)}\0` },
  { path: 'cut', type: '2', link: '../../etc' },
  { path: 'etc/too', type: '1', link: 'etc/passwd' },
  { path: 'null', type: '3' },
  { path: 'fifo', type: '6' }
)
const WITH_HOLES = tarOf(
  {
    path: 'x',
    type: 'x',
    content: [...SPARSE, 'GNU.sparse.realsize=200000'].map(paxRecord).join('')
  },
  { path: 'GNUSparseFile.0/s', content: `${MAP}holes` },
  { path: 'up', type: '2', link: '..' },
  { path: 'up/up/etc/shadow', content: 'outside?' }
)

/** What publishing an archive does, without its content. */
async function readArchive(archive: Buffer): Promise<Tree> {
  async function* pieces() {
    yield archive
  }
  const reader = new TarReader(new ByteStream(pieces()))
  const tree = new ArchiveTree()
  for await (const entry of reader.entries()) {
    if (entry.kind === 'hardlink') {
      tree.link(entry.path, entry.target)
      continue
    }
    const { path, attributes, xattrs, symlinkTarget, content } = entry
    const inode = tree.put(path, attributes, {
      xattrs,
      ...(symlinkTarget === undefined ? {} : { symlinkTarget })
    })
    if (content !== undefined) tree.builder.setContent(inode, content.size, [])
  }
  tree.finish()
  return tree.builder.finish()
}

void test('archives are read before they are changed', async (t) => {
  const namesIn = async (archive: Buffer): Promise<string> =>
    [...walk(await readArchive(archive))].map(({ path }) => path.toString()).join(' ')
  const long = 'n'.repeat(120)
  const before = ' a a/long a/long/way a/long/way/to a/long/way/to/go etc etc/passwd etc/too fifo'
  t.is(await namesIn(PLAIN), `${before} ${long} null`)
  t.is(await namesIn(WITH_HOLES), ' etc etc/shadow s up')
})

void test('a header of bytes that were changed', MINUTES_5, async (t) => {
  const header = PLAIN.subarray(TAR_RECORD_BYTES, 2 * TAR_RECORD_BYTES)
  await fuzz(t, { cases: 60_000, accepted: 18_000 }, mutations, (list) => {
    const record = Buffer.alloc(TAR_RECORD_BYTES)
    mutate(header, list).copy(record)
    writeChecksum(record)
    parseTarHeader(record)
  })
})

for (const [what, archive] of [
  ['archive', PLAIN],
  ['sparse archive', WITH_HOLES]
] as const) {
  void test(`an ${what} that was changed, with checksums that fit`, MINUTES_5, async (t) => {
    const values = fc.record({ list: mutations, isSigned: fc.boolean() })
    await fuzz(t, { cases: 20_000, accepted: 1_800 }, values, ({ list, isSigned }) =>
      readArchive(isSigned ? signed(archive, list) : mutate(archive, list))
    )
  })
}

/** Changes an archive and gives every record that was a header a checksum again. */
function signed(archive: Buffer, list: readonly Mutation[]): Buffer {
  const changed = Buffer.alloc(archive.length)
  mutate(archive, list).copy(changed)
  for (const offset of headerOffsets(archive)) {
    writeChecksum(changed.subarray(offset, offset + TAR_RECORD_BYTES))
  }
  return changed
}
