/** Counts entries whose time does not parse or is out of range, for one notice of all. */
export class TimeNotices {
  #first = ''
  #count = 0

  add(path: string): void {
    if (this.#count++ === 0) this.#first = path
  }

  tell(onNotice: (notice: string) => void): void {
    if (this.#count === 0) return
    const others = this.#count === 1 ? '' : ` and of ${this.#count - 1} more`
    onNotice(
      `the time of ${this.#first}${others} is malformed or out of range: the time in the plain header is used`
    )
  }
}
