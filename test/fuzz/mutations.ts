import * as fc from 'fast-check'

/** Where, as a share of the length, so that one list of mutations fits any bytes. */
type Place = number

export type Mutation =
  | { readonly do: 'set'; readonly at: Place; readonly byte: number }
  | { readonly do: 'flip'; readonly at: Place; readonly bit: number }
  | { readonly do: 'insert'; readonly at: Place; readonly bytes: Uint8Array }
  | { readonly do: 'remove'; readonly at: Place; readonly count: number }
  | { readonly do: 'copy'; readonly at: Place; readonly from: Place; readonly count: number }
  | { readonly do: 'cut'; readonly at: Place }

const PLACES = 2 ** 24
const place = fc.nat(PLACES - 1)
/** Where decoders have their edges: signs, the largest numbers, varints of eight bytes. */
const EDGES = ['00', '01', '7f', '80', 'ff', 'ffffffffffffff7f', 'ffffffffffffff0f', '2e2e2f', '2f']
const edge = fc.constantFrom(...EDGES.map((hex) => new Uint8Array(Buffer.from(hex, 'hex'))))

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc.record({ do: fc.constant('set' as const), at: place, byte: fc.nat(255) }),
  fc.record({ do: fc.constant('flip' as const), at: place, bit: fc.nat(7) }),
  fc.record({
    do: fc.constant('insert' as const),
    at: place,
    bytes: fc.oneof(edge, fc.uint8Array({ minLength: 1, maxLength: 9 }))
  }),
  fc.record({
    do: fc.constant('remove' as const),
    at: place,
    count: fc.integer({ min: 1, max: 9 })
  }),
  fc.record({
    do: fc.constant('copy' as const),
    at: place,
    from: place,
    count: fc.integer({ min: 1, max: 600 })
  }),
  fc.record({ do: fc.constant('cut' as const), at: place })
)

const few = { minLength: 1, maxLength: 4 }
/** Most often one change: more of them seldom get past the first check. */
export const mutations = fc.oneof(
  fc.array(mutation, { minLength: 1, maxLength: 1 }),
  fc.array(mutation, few)
)

/** A changed copy of some bytes. */
export function mutate(original: Uint8Array, list: readonly Mutation[]): Buffer {
  let bytes: Buffer = Buffer.from(original)
  for (const change of list) bytes = apply(bytes, change)
  return bytes
}

function apply(bytes: Buffer, change: Mutation): Buffer {
  const at = Math.floor((change.at / PLACES) * (bytes.length + 1))
  const rest = bytes.subarray(at)
  const head = bytes.subarray(0, at)
  if (change.do === 'insert') return Buffer.concat([head, change.bytes, rest])
  if (change.do === 'remove') return Buffer.concat([head, rest.subarray(change.count)])
  if (change.do === 'cut') return Buffer.from(head)
  if (change.do === 'copy') {
    const from = Math.floor((change.from / PLACES) * (bytes.length + 1))
    bytes.copy(bytes, at, from, from + change.count)
  } else if (at < bytes.length) {
    bytes[at] = change.do === 'set' ? change.byte : bytes[at]! ^ (1 << change.bit)
  }
  return bytes
}
