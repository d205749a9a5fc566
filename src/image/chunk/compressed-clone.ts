import { DefaultDeserializer, DefaultSerializer } from 'node:v8'
import { compressFrame, decompressFrame } from './compression.ts'

const KINDS = [Buffer, Uint8Array, Uint16Array, Uint32Array, Float64Array] as const
type Column = InstanceType<(typeof KINDS)[number]>

const LEVEL = 1

/**
 * `v8.serialize` with each typed array as a zstd frame: all of them at once take several times the memory.
 * An array is the number of its kind, bytes of it and of its frame as V8 writes 32-bit numbers, and the frame.
 *
 * @param value structured data with arrays of {@link KINDS}
 */
export function compressedClone(value: unknown): Buffer {
  const serializer = new ColumnSerializer()
  serializer.writeHeader()
  serializer.writeValue(value)
  return serializer.releaseBuffer()
}

/** @throws Error for what {@link compressedClone} did not write, or another V8 */
export function readCompressedClone(bytes: Buffer, limitBytes: number): unknown {
  const deserializer = new ColumnDeserializer(bytes)
  deserializer.limitBytes = limitBytes
  deserializer.readHeader()
  return deserializer.readValue()
}

class ColumnSerializer extends DefaultSerializer {
  _writeHostObject(column: Column): void {
    const kind = KINDS.findIndex((Kind) => column.constructor === Kind)
    if (kind === -1) throw new TypeError('no kind of array that is kept')
    const content = new Uint8Array(column.buffer, column.byteOffset, column.byteLength)
    const frame = compressFrame(content, LEVEL)
    for (const number of [kind, content.length, frame.length]) this.writeUint32(number)
    this.writeRawBytes(frame)
  }
}

class ColumnDeserializer extends DefaultDeserializer {
  /** Limit for all arrays together. */
  limitBytes = 0

  _readHostObject(): Column {
    const Kind = KINDS[this.readUint32()]
    const length = this.readUint32()
    const frame = this.readRawBytes(this.readUint32())
    this.limitBytes -= length
    if (Kind === undefined || this.limitBytes < 0) throw new RangeError('arrays are too large')
    const { buffer } = decompressFrame(frame, length)
    return Kind === Buffer
      ? Buffer.from(buffer)
      : new (Kind as Uint32ArrayConstructor)(buffer as ArrayBuffer)
  }
}
