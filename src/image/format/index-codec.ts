/** The packed index: a {@link Tree} as bytes and back. */
export { encodeIndex } from './index-encoder.ts'
export { decodeIndex } from './index-decoder.ts'
export { compressPart, isPart, decompressPart, pointerTo } from './image-part.ts'
