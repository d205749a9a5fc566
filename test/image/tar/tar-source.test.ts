import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'brittle'
import { isContainerError } from '../../../src/core/errors.ts'
import { openTar } from '../../../src/image/tar/tar-source.ts'
import { temporaryDirectory } from '../planted-tree.ts'
import { archiveLines, directoryLines, extract, plantForTar } from '../tar-archives.ts'
import { headerOffsets, tarOf, writeChecksum } from '../tar-bytes.ts'
import { random } from '../trees.ts'

const GNU = ['--xattrs', '--xattrs-include=*', '--acls', '--numeric-owner', '--sparse']

void test('archives of GNU tar and libarchive are what they extract to', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const root = join(place.path, 'root')
  plantForTar(root)
  const original = await directoryLines(root)
  const writers: Record<string, readonly ['tar' | 'bsdtar', ...string[]]> = {
    posix: ['tar', '--format=posix', ...GNU],
    'posix, sparse 0.0': ['tar', '--format=posix', '--sparse-version=0.0', ...GNU],
    'posix, sparse 0.1': ['tar', '--format=posix', '--sparse-version=0.1', ...GNU],
    gnu: ['tar', '--format=gnu', '--numeric-owner', '--sparse'],
    oldgnu: ['tar', '--format=oldgnu', '--numeric-owner', '--sparse'],
    libarchive: ['bsdtar', '--format=pax', '--xattrs', '--acls', '--numeric-owner']
  }
  for (const [name, [program, ...options]] of Object.entries(writers)) {
    const archive = join(place.path, `${name}.tar`)
    // libarchive takes the fraction of a negative time for one forward; POSIX and GNU tar do not.
    if (program === 'bsdtar') execFileSync('touch', ['-hd', '@-86400', join(root, 'dangling')])
    execFileSync(program, ['-c', ...options, '-f', archive, '-C', root, '.'], { stdio: 'pipe' })
    const extracted = join(place.path, `${name} extracted`)
    extract(archive, extracted, program)
    const lines = await archiveLines(archive)
    // libarchive leaves the time of the directory it extracts into.
    const from = program === 'bsdtar' ? 1 : 0
    const expected = (await directoryLines(extracted)).slice(from)
    t.alike(lines.slice(from), expected, `${name}: as ${program} extracts it`)
    if (name.startsWith('posix')) t.alike(lines, original, `${name}: as it was`)
  }
})

/** How long one archive may take before it counts as a hang. */
const HANG_MS = 5000

/** All of a publish but its threads, which cost more than these small archives. */
async function readAll(
  archive: string,
  onNotice: (notice: string) => void = () => {}
): Promise<void> {
  const source = await openTar(archive, { onNotice })
  for await (const batch of source.contents.batches()) {
    source.contents.recycle(batch.bytes.buffer as ArrayBuffer)
  }
  source.builder.finish()
}

async function refusal(
  archive: string,
  read: (path: string) => Promise<unknown> = archiveLines
): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined
  const hang = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it hangs')), HANG_MS)
  })
  try {
    await Promise.race([read(archive), hang])
    return undefined
  } catch (error) {
    if (isContainerError(error, 'BAD_SOURCE') && !error.message.includes('\n')) return error.message
    throw error
  } finally {
    clearTimeout(timer)
  }
}

void test('every compression reads the same, and a cut one is refused', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const root = join(place.path, 'root')
  plantForTar(root)
  const plain = join(place.path, 'plain.tar')
  execFileSync('tar', ['-c', '--format=posix', ...GNU, '-f', plain, '-C', root, '.'])
  const expected = await archiveLines(plain)
  for (const program of ['gzip', 'xz', 'bzip2', 'zstd']) {
    const whole = execFileSync(program, ['-c', plain], { maxBuffer: 1e9 })
    const file = join(place.path, 'compressed')
    writeFileSync(file, whole)
    t.alike(await archiveLines(file), expected, program)
    for (const part of [0.02, 0.5, 0.999]) {
      writeFileSync(file, whole.subarray(0, Math.floor(whole.length * part)))
      t.ok(await refusal(file), `${program}, cut at ${part}`)
    }
    const middle = Math.floor(whole.length / 2)
    whole.fill(0x55, middle, middle + 100)
    writeFileSync(file, whole)
    t.ok(await refusal(file), `${program}, damaged`)
  }
})

void test('entries replace, imply and link as extracting them would', async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const file = join(place.path, 'a.tar')
  const lines = async (...entries: Parameters<typeof tarOf>): Promise<string[]> => {
    writeFileSync(file, tarOf(...entries))
    return (await archiveLines(file)).map((line) => line.replace(/ 0\.0 .*| 1\.0 .*/, ''))
  }
  t.alike(
    await lines(
      { path: 'a', content: 'first', mode: 0o600 },
      { path: './a', content: 'second' },
      { path: '/abs//./olute', content: 'x' },
      { path: 'sym', type: '2', link: 'abs' },
      { path: 'sym/below', content: 'y' },
      { path: 'hard', type: '1', link: 'sym/below' },
      { path: 'dir/gone', content: 'z' },
      { path: 'dir', content: 'no directory any more' },
      { path: './', type: '5', mode: 0o700 }
    ),
    [
      ' directory 700 0:0',
      'a file 644 0:0',
      'abs directory 755 0:0',
      'abs/below file 644 0:0',
      'abs/olute file 644 0:0',
      'dir file 644 0:0',
      'hard = abs/below',
      'sym symlink 777 0:0'
    ]
  )
  t.alike(
    await lines(
      { path: 'a', type: '2', link: '../../no/where/../there' },
      { path: 'a/b/c', content: 'below the root, whatever the symlink says' }
    ),
    [
      ' directory 755 0:0',
      'a symlink 777 0:0',
      'no directory 755 0:0',
      'no/there directory 755 0:0',
      'no/there/b directory 755 0:0',
      'no/there/b/c file 644 0:0'
    ],
    'a symlink that dangles on the way'
  )
  const bad: Record<string, Parameters<typeof tarOf>> = {
    'a path with ..': [{ path: 'a/../../b', content: '' }],
    'a hardlink with ..': [{ path: 'a', type: '1', link: '../etc/passwd' }],
    'a hardlink to nothing': [{ path: 'a', type: '1', link: 'b' }],
    'a hardlink to what comes later': [
      { path: 'a', type: '1', link: 'b' },
      { path: 'b', content: '' }
    ],
    'a hardlink to a directory': [
      { path: 'b', type: '5' },
      { path: 'a', type: '1', link: 'b' }
    ],
    'a file for the root': [{ path: '.', content: '' }],
    'a file below a file': [
      { path: 'a', content: '' },
      { path: 'a/b', content: '' }
    ],
    'a symlink loop on the way': [
      { path: 'a', type: '2', link: 'a' },
      { path: 'a/b', content: '' }
    ],
    'an empty symlink': [{ path: 'a', type: '2', link: '' }],
    'an unknown type': [{ path: 'a', type: 'Q' }],
    'an impossible owner': [{ path: 'a', content: '', uid: 0xffff_ffff }]
  }
  for (const [what, entries] of Object.entries(bad)) {
    writeFileSync(file, tarOf(...entries))
    t.ok(await refusal(file), what)
  }
  for (const content of ['', 'x', Buffer.alloc(10_000, 'not a tar archive')]) {
    writeFileSync(file, content)
    t.ok((await refusal(file))?.includes('not a tar archive'))
  }
})

void test('whatever is cut or mutated is read or refused', { timeout: 120_000 }, async (t) => {
  const place = temporaryDirectory()
  t.teardown(place.remove)
  const root = join(place.path, 'root')
  plantForTar(root)
  const file = join(place.path, 'a.tar')
  const next = random(3)
  let cut = 0
  let mutated = 0
  let read = 0
  for (const format of ['posix', 'gnu']) {
    const names = ['--exclude=./noise', '--exclude=./zeros', '--exclude=./deep/er/same-noise', '.']
    const options = format === 'posix' ? GNU : ['--sparse']
    execFileSync('tar', ['-c', `--format=${format}`, ...options, '-f', file, '-C', root, ...names])
    const whole = readFileSync(file)
    const end = whole.findLastIndex((byte) => byte !== 0)
    for (let i = 0; i < 260; i++) {
      writeFileSync(file, whole.subarray(0, Math.floor((i * end) / 260)))
      const notices: string[] = []
      const reason = await refusal(file, (path) => readAll(path, (text) => notices.push(text)))
      // Between two files nothing is damaged.
      if (reason !== undefined || /may be cut between two files/.test(notices.join())) cut++
    }
    const headers = headerOffsets(whole)
    for (let i = 0; i < 1000; i++) {
      const bytes = Buffer.from(whole)
      const offset = headers[Math.floor(next() * headers.length)]!
      const changes = 1 + Math.floor(next() * 4)
      for (let j = 0; j < changes; j++) bytes[offset + Math.floor(next() * 512)] = next() * 256
      // Half of them are not to be caught by the checksum.
      if (i % 2 === 0) writeChecksum(bytes.subarray(offset, offset + 512))
      writeFileSync(file, bytes)
      if ((await refusal(file, readAll)) === undefined) read++
      mutated++
    }
  }
  t.is(cut, 520, 'all cuts are refused, or told of')
  t.is(mutated, 2000)
  t.ok(read > 10 && read < 1500, `${read} of the mutations are archives still`)
})
