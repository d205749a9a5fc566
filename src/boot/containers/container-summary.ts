import type { MountMode } from '../../fuse/content/mounted-image.ts'
import {
  bootTimings,
  readLiveState,
  type BootTimings,
  type ContainerState
} from '../state/container-record.ts'
import { NO_IMAGE, readImageHealth, type ImageHealth } from '../lease/image-health.ts'
import { readKept } from '../state/kept-config.ts'
import { containerPaths, type BootPaths } from '../state/paths.ts'
import { idRange, type IdRange } from '../ids/user-namespace.ts'
import * as v from 'valibot'
import type { Shape } from '../../core/record-format.ts'
import { waiting } from '../lease/mounter-protocol.ts'

/** One container as `ps` and `inspect` show it. */
export interface ContainerSummary extends ImageHealth {
  readonly name: string
  /** `damaged`: it does not run, and the record of what it is cannot be read; its files are kept. */
  readonly state: ContainerState['state'] | 'stopped' | 'damaged'
  /** These four are null of a damaged one. */
  readonly image: string | null
  readonly link: string | null
  readonly key: string | null
  readonly version: number | null
  readonly ephemeral: boolean
  /** The command that it runs or last ran; empty for its init, null if unknown. */
  readonly command: readonly string[] | null
  readonly createdAt: string
  /** When it last ended (ISO 8601, UTC); null while it runs, and before that. */
  readonly endedAt: string | null
  readonly startedAt: string | null
  /** Process ids of the runner and of the container's PID 1 on the host. */
  readonly pid: number | null
  readonly leader: number | null
  readonly rootfs: string | null
  readonly mountMode: MountMode | null
  readonly mode: 'boot' | 'process' | null
  readonly ready: string | null
  readonly exitCode: number | null
  /** Ids of this machine that are the container's; null for one that has the machine's own. */
  readonly idRange: IdRange | null
  readonly timings: BootTimings
  /** What is wrong with a damaged container, and what to do; null for others. */
  readonly problem: string | null
}

const text = v.fallback(v.nullable(v.string()), null)
const number = v.fallback(v.nullable(v.number()), null)

/**
 * The shape of a {@link ContainerSummary} that another machine tells. That may run another release, so a field that it
 * does not tell, or tells otherwise, is one that nobody knows.
 */
export const containerSummary: Shape<ContainerSummary> = v.looseObject({
  name: v.string(),
  state: v.picklist(['starting', 'running', 'stopping', 'stopped', 'damaged']),
  image: text,
  link: text,
  key: text,
  version: number,
  ephemeral: v.fallback(v.boolean(), false),
  command: v.fallback(v.nullable(v.array(v.string())), null),
  createdAt: v.fallback(v.string(), ''),
  endedAt: text,
  startedAt: text,
  pid: number,
  leader: number,
  rootfs: text,
  mountMode: v.fallback(v.nullable(v.picklist(['erofs', 'fuse'])), null),
  mode: v.fallback(v.nullable(v.picklist(['boot', 'process'])), null),
  ready: text,
  exitCode: number,
  idRange: v.fallback(v.nullable(idRange), null),
  timings: v.fallback(bootTimings, {}),
  problem: text,
  waiting: v.fallback(v.nullable(waiting), null),
  imageLost: v.fallback(v.boolean(), false),
  mounterRestarts: v.fallback(v.number(), 0),
  mounterRestartedAt: text
})

/** Collects what is known of one container. @returns undefined when nothing is known */
export async function summarize(
  paths: BootPaths,
  name: string
): Promise<ContainerSummary | undefined> {
  const files = containerPaths(paths, name)
  const [kept, state] = await Promise.all([readKept(files), readLiveState(files)])
  const config = kept.kind === 'config' ? kept.config : undefined
  const known = state ?? config
  if (known === undefined && kept.kind !== 'damaged') return undefined
  const { message, hint } = kept.kind === 'damaged' ? kept.error : {}
  return {
    name,
    state: state?.state ?? (config === undefined ? 'damaged' : 'stopped'),
    image: known?.image ?? null,
    link: known?.link ?? null,
    key: known?.key ?? null,
    version: known?.version ?? null,
    ephemeral: known?.ephemeral ?? false,
    command: state?.command ?? config?.command ?? null,
    endedAt: state === undefined ? (config?.lastExit?.at ?? null) : null,
    createdAt: config?.createdAt ?? state?.startedAt ?? '',
    startedAt: state?.startedAt ?? null,
    pid: state?.runner.pid ?? null,
    leader: state?.leader?.pid ?? null,
    rootfs: state?.rootfs ?? null,
    mountMode: state?.mountMode ?? null,
    mode: state?.mode ?? null,
    ready: state?.ready ?? null,
    exitCode: state === undefined ? (config?.lastExit?.code ?? null) : null,
    idRange: config?.idRange ?? null,
    timings: state?.timings ?? {},
    problem: message === undefined || state !== undefined ? null : `${message} (${hint})`,
    ...(state === undefined ? NO_IMAGE : await readImageHealth(state.mounterSocket))
  }
}
