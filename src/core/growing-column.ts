type NumericArray = Uint8Array | Uint32Array | Float64Array

/** A typed array that grows by doubling as values are pushed. */
export class GrowingColumn<T extends NumericArray> {
  length = 0
  #values: T
  readonly #allocate: (length: number) => T

  constructor(allocate: (length: number) => T, capacity = 64) {
    this.#allocate = allocate
    this.#values = allocate(capacity)
  }

  push(value: number): void {
    this.reserve(1)
    this.#values[this.length++] = value
  }

  pushAll(values: T): void {
    this.reserve(values.length)
    this.#values.set(values, this.length)
    this.length += values.length
  }

  /** Pushes `values[start, end)`: of few, faster than a view of them. */
  pushRange(values: T, start: number, end: number): void {
    this.reserve(end - start)
    const own = this.#values
    let length = this.length
    for (let i = start; i < end; i++) own[length++] = values[i]!
    this.length = length
  }

  get(index: number): number {
    return this.#values[index]!
  }

  set(index: number, value: number): void {
    this.#values[index] = value
  }

  /** What was pushed, and room behind it; the next push may leave it behind. */
  get values(): T {
    return this.#values
  }

  /** A view of what was pushed; the next push may leave it behind. */
  view(): T {
    return this.#values.subarray(0, this.length) as T
  }

  reserve(more: number): void {
    if (this.length + more <= this.#values.length) return
    const grown = this.#allocate(Math.max(this.#values.length * 2, this.length + more))
    grown.set(this.#values.subarray(0, this.length))
    this.#values = grown
  }
}

export const bytesColumn = (): GrowingColumn<Uint8Array> =>
  new GrowingColumn((n) => Buffer.alloc(n))
export const wordColumn = (): GrowingColumn<Uint32Array> =>
  new GrowingColumn((n) => new Uint32Array(n))
export const doubleColumn = (): GrowingColumn<Float64Array> =>
  new GrowingColumn((n) => new Float64Array(n))
