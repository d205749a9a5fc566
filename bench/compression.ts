/**
 * Compares compression libraries on the 64 KiB chunks of a real tree, one thread.
 *
 *   node build/bench/compression.js ROOTFS [FOLDER_WITH_CANDIDATES]
 *
 * Candidates that are not installed in the second folder are left out. Reported: the tree's stored
 * size with equal chunks stored once and incompressible ones raw, and MB/s of content both ways.
 */
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join, resolve } from 'node:path'
import * as zlib from 'node:zlib'
import zstd from 'zstd-napi/binding.js'
import { report } from './report.ts'

const CHUNK_BYTES = 64 * 1024
/** Slow codecs measure on every n-th chunk and scale up, so that the table takes minutes. */
const MAX_SECONDS = 8

interface Codec {
  readonly name: string
  compress(content: Buffer): Uint8Array | Promise<Uint8Array>
  decompress(stored: Uint8Array, bytes: number): Uint8Array | Promise<Uint8Array>
}

function readChunks(root: string): Buffer[] {
  const seen = new Set<string>()
  const chunks: Buffer[] = []
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const content = readFileSync(join(entry.parentPath, entry.name))
    for (let start = 0; start < content.length; start += CHUNK_BYTES) {
      const chunk = content.subarray(start, start + CHUNK_BYTES)
      const hash = createHash('sha256').update(chunk).digest('base64')
      if (!seen.has(hash)) chunks.push(chunk)
      seen.add(hash)
    }
  }
  return chunks
}

function zstdNapi(level: number): Codec {
  const compressor = new zstd.CCtx()
  const decompressor = new zstd.DCtx()
  const scratch = Buffer.alloc(zstd.compressBound(CHUNK_BYTES))
  return {
    name: `zstd-napi ${level}`,
    compress: (content) =>
      new Uint8Array(scratch.subarray(0, compressor.compress(scratch, content, level))),
    decompress(stored, bytes) {
      const content = Buffer.allocUnsafe(bytes)
      decompressor.decompress(content, stored)
      return content
    }
  }
}

function nodeZlib(): Codec[] {
  return [
    {
      name: 'node:zlib deflate 6',
      compress: (content) => zlib.deflateRawSync(content, { level: 6 }),
      decompress: (stored) => zlib.inflateRawSync(stored)
    },
    {
      name: 'node:zlib brotli 5',
      compress: (content) =>
        zlib.brotliCompressSync(content, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 5 } }),
      decompress: (stored) => zlib.brotliDecompressSync(stored)
    }
  ]
}

interface SimpleZstd {
  compress(content: Uint8Array, level: number): Uint8Array
  decompress(stored: Uint8Array): Uint8Array
}

interface NodeZstd {
  Encoder: new (level: number) => { encodeSync(content: Buffer): Buffer }
  Decoder: new () => { decodeSync(stored: Buffer): Buffer }
}

interface Lz4 {
  compressSync(content: Buffer): Buffer
  uncompressSync(stored: Uint8Array): Buffer
}

async function candidates(folder: string): Promise<Codec[]> {
  const require = createRequire(join(resolve(folder), 'package.json'))
  const codecs: Codec[] = []
  const offer = async (load: () => Promise<Codec>): Promise<void> => {
    try {
      codecs.push(await load())
    } catch (error) {
      console.error(`left out: ${String(error).split('\n')[0]}`)
    }
  }
  await offer(async () => {
    const wasm = require('@bokuweb/zstd-wasm') as SimpleZstd & { init(): Promise<void> }
    await wasm.init()
    return {
      name: '@bokuweb/zstd-wasm 3',
      compress: (content) => wasm.compress(content, 3),
      decompress: (stored) => wasm.decompress(stored)
    }
  })
  await offer(async () => {
    const path = require.resolve('@hpcc-js/wasm-zstd')
    const { Zstd } = (await import(path)) as { Zstd: { load(): Promise<SimpleZstd> } }
    const wasm = await Zstd.load()
    return {
      name: '@hpcc-js/wasm-zstd 3',
      compress: (content) => wasm.compress(content, 3),
      decompress: (stored) => wasm.decompress(stored)
    }
  })
  await offer(async () => {
    const { Encoder, Decoder } = require('@toondepauw/node-zstd') as NodeZstd
    const encoder = new Encoder(3)
    const decoder = new Decoder()
    return {
      name: '@toondepauw/node-zstd 3',
      compress: (content) => encoder.encodeSync(content),
      decompress: (stored) => decoder.decodeSync(Buffer.from(stored))
    }
  })
  await offer(async () => {
    const lz4 = require('lz4-napi') as Lz4
    return {
      name: 'lz4-napi',
      compress: (content) => lz4.compressSync(content),
      decompress: (stored) => lz4.uncompressSync(stored)
    }
  })
  return codecs
}

interface Result {
  codec: string
  'stored MB': string
  'of content': string
  'compress MB/s': number
  'decompress MB/s': number
}

async function measure(codec: Codec, chunks: readonly Buffer[], bytes: number): Promise<Result> {
  const stored: Uint8Array[] = []
  let measured = 0
  let storedBytes = 0
  let start = performance.now()
  // A stride through the tree keeps a part that is cut short representative.
  const stride = 7
  outer: for (let offset = 0; offset < stride; offset++) {
    for (let i = offset; i < chunks.length; i += stride) {
      const chunk = chunks[i]!
      const frame = await codec.compress(chunk)
      stored.push(frame)
      measured += chunk.length
      storedBytes += Math.min(frame.length, chunk.length)
    }
    if (performance.now() - start > MAX_SECONDS * 1000) break outer
  }
  const compressSeconds = (performance.now() - start) / 1000
  start = performance.now()
  let next = 0
  for (let offset = 0; offset < stride && next < stored.length; offset++) {
    for (let i = offset; i < chunks.length && next < stored.length; i += stride) {
      await codec.decompress(stored[next++]!, chunks[i]!.length)
    }
  }
  const decompressSeconds = (performance.now() - start) / 1000
  return {
    codec: codec.name,
    'stored MB': ((storedBytes * (bytes / measured)) / 1e6).toFixed(1),
    'of content': (storedBytes / measured).toFixed(3),
    'compress MB/s': Math.round(measured / 1e6 / compressSeconds),
    'decompress MB/s': Math.round(measured / 1e6 / decompressSeconds)
  }
}

const [root, folder = '.'] = process.argv.slice(2)
if (root === undefined || !statSync(root).isDirectory()) {
  console.error('usage: node build/bench/compression.js ROOTFS [FOLDER_WITH_CANDIDATES]')
  process.exit(2)
}
const chunks = readChunks(root)
const bytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
console.log(`${chunks.length} distinct chunks, ${(bytes / 1e6).toFixed(1)} MB`)
const results: Result[] = []
const codecs = [
  ...[1, 2, 3, 4, 5, 6, 7, 8, 9, 12].map(zstdNapi),
  ...nodeZlib(),
  ...(await candidates(folder))
]
for (const codec of codecs) results.push(await measure(codec, chunks, bytes))
report('compression', { results: results.map((result) => ({ ...result })) })
