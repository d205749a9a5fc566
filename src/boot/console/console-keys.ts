const CTRL_C = 0x03
/** Ctrl-], by which systemd-nspawn, telnet and virsh are left. */
const ESCAPE = 0x1d
const ESCAPES = 3
const ESCAPE_MS = 1_000

/** Requests by keys on a container's console: stop it, or kill it. */
export type ConsoleRequest = 'stop' | 'end'

/** For people, once keys go to a container. */
export const CONSOLE_KEYS_TEXT =
  'your input goes to the container; Ctrl-C stops it, Ctrl-] three times within a second kills it'

/** Finds the keys in typed input that this program handles itself. */
export class ConsoleKeys {
  /** When the last escapes in a row were typed. */
  #escapes: number[] = []

  /**
   * @param typed as it was read of a terminal
   * @param nowMs of a clock that does not go back
   * @returns what is the container's of it, and what is asked of us; each escape but the last is the container's
   */
  read(typed: Uint8Array, nowMs: number): { passed: Uint8Array; requests: ConsoleRequest[] } {
    const requests: ConsoleRequest[] = []
    const passed = typed.filter((byte) => {
      if (byte === CTRL_C) requests.push('stop')
      else if (this.#isLastEscape(byte, nowMs)) requests.push('end')
      else return true
      return false
    })
    return { passed, requests }
  }

  #isLastEscape(byte: number, nowMs: number): boolean {
    if (byte !== ESCAPE) {
      this.#escapes = []
      return false
    }
    this.#escapes = [...this.#escapes, nowMs].filter((at) => nowMs - at < ESCAPE_MS)
    if (this.#escapes.length < ESCAPES) return false
    this.#escapes = []
    return true
  }
}
