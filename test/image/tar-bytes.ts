/** Archives made byte by byte: what no program writes, or not on demand. */

export interface PlainEntry {
  readonly path: string
  /** @default '0' */
  readonly type?: string
  readonly link?: string
  readonly content?: string
  readonly mode?: number
  readonly uid?: number
}

const RECORD = 512

export function tarOf(...entries: PlainEntry[]): Buffer {
  const records = entries.flatMap(({ path, type = '0', link = '', content = '', ...rest }) => {
    const header = Buffer.alloc(RECORD)
    header.write(path, 0, 'latin1')
    header.write(octal(rest.mode ?? 0o644, 7), 100)
    header.write(octal(0, 7), 116)
    if ((rest.uid ?? 0) > 0o7777777) header.writeUIntBE(rest.uid ?? 0, 110, 6)
    if ((rest.uid ?? 0) > 0o7777777) header[108] = 0x80
    else header.write(octal(rest.uid ?? 0, 7), 108)
    header.write(octal(content.length, 11), 124)
    header.write(octal(1, 11), 136)
    header.write(type, 156)
    header.write(link, 157)
    header.write('ustar\x0000', 257)
    writeChecksum(header)
    const data = Buffer.alloc(Math.ceil(content.length / RECORD) * RECORD)
    data.write(content)
    return [header, data]
  })
  return Buffer.concat([...records, Buffer.alloc(2 * RECORD)])
}

export function writeChecksum(header: Buffer): void {
  header.fill(' ', 148, 156)
  header.write(`${octal(checksum(header), 6)}\0 `, 148)
}

/** Where the headers of an archive are, told by their checksums. */
export function headerOffsets(archive: Buffer): number[] {
  const offsets: number[] = []
  for (let offset = 0; offset < archive.length; offset += RECORD) {
    const header = Buffer.from(archive.subarray(offset, offset + RECORD))
    const stored = header.toString('latin1', 148, 154)
    header.fill(' ', 148, 156)
    if (stored === octal(checksum(header), 6)) offsets.push(offset)
  }
  return offsets
}

function checksum(header: Buffer): number {
  return header.reduce((sum, byte) => sum + byte, 0)
}

function octal(value: number, digits: number): string {
  return value.toString(8).padStart(digits, '0')
}
