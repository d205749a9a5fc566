import type { LinkCounters, LinkShape } from './link-queue.ts'

/** A host's link, both ways as the host sees them. */
export interface HostShape {
  readonly up: LinkShape
  readonly down: LinkShape
}

/** The switch's only argument, as JSON. */
export interface SwitchSetup {
  readonly seed: number
  readonly hosts: readonly (HostShape & { readonly device: string; readonly address: string })[]
}

/** A line to the switch; each is answered. */
export interface SwitchRequest {
  /** New shapes of all hosts, in their order. What is under way keeps its times. */
  readonly shapes?: readonly HostShape[]
}

/** A line from the switch: the first once its devices exist. Counters run from its start. */
export interface SwitchAnswer {
  /** Processor time of the whole process, start included. */
  readonly cpuMs: number
  readonly unroutable: number
  readonly hosts: readonly { readonly up: LinkCounters; readonly down: LinkCounters }[]
}
