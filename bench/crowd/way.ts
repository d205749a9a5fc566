import type { Row } from '../report.ts'
import type { WanNetwork } from '../wan/network.ts'

/** A way by which all readers of a crowd get the same content from one publisher. */
export interface CrowdWay {
  readonly name: string
  /** Programs it is made of, and the Debian package of each. */
  readonly programs: Readonly<Record<string, string>>
  /**
   * Has the publisher serve the content.
   *
   * @param source a directory
   */
  serve(network: WanNetwork, source: string): Promise<CrowdSource>
}

/** Content that is served. Disposing ends that. */
export interface CrowdSource extends AsyncDisposable {
  /** What one reader needs of it, as it is sent. */
  readonly bytes: number
  /**
   * Makes a reader that has nothing yet. This is not measured.
   *
   * @param host name of a host of the network
   */
  reader(host: string): Promise<CrowdReader>
  /** What the publisher's side has used so far, for the table. */
  costs(): Promise<Row>
}

/** A reader on a host of its own. Disposing ends it and removes what it holds. */
export interface CrowdReader extends AsyncDisposable {
  /** Resolves when it has what it came for: this is measured. It serves others until it is disposed of. */
  take(): Promise<void>
  /** Connected peers, and seconds of processor time of what serves others, where that is known. */
  counts(): Promise<{ readonly peers?: number; readonly cpuSeconds?: number }>
}
