import { mkdir } from 'node:fs/promises'
import { mount, MOUNT_FLAG } from '../../fuse/linux/mount-syscall.ts'
import { ContainerError, isContainerError } from '../../core/errors.ts'
import { copyAttributes } from './copy-attributes.ts'
import type { ContainerPaths } from '../state/paths.ts'
import { unmountAllUnder } from '../../fuse/linux/mount-cleanup.ts'

export interface OverlayRequest {
  /** Root of the mounted image. */
  readonly lower: string
  readonly paths: Pick<ContainerPaths, 'upper' | 'work' | 'merged' | 'scratch'>
  /** Writes go to a tmpfs and are gone when the container is. */
  readonly ephemeral: boolean
  /** Device nodes of the image, and those that the container makes, open devices. @default false */
  readonly devices?: boolean
}

/** The mounts and directories to make, in order. */
export interface OverlayPlan {
  /** Mount point of a tmpfs for upper and work; undefined when they are on disk. */
  readonly scratch: string | undefined
  readonly upper: string
  readonly work: string
  readonly merged: string
  /**
   * Flags of the overlay, a sum of `MOUNT_FLAG`s. Setuid programs have to work in the container; on the host
   * nobody but root gets to where it is mounted, and in a user namespace they are setuid to nobody of the host.
   */
  readonly flags: number
  /** Option string of the overlay, then one for filesystems that refuse the first. */
  readonly data: readonly [preferred: string, plain: string]
}

/** Plans where the writes of a container go and the options of its overlay mount; pure. */
export function planOverlay({
  lower,
  paths,
  ephemeral,
  devices = false
}: OverlayRequest): OverlayPlan {
  const upper = ephemeral ? `${paths.scratch}/upper` : paths.upper
  const work = ephemeral ? `${paths.scratch}/work` : paths.work
  const directories = [
    `lowerdir=${escapeLayer(lower)}`,
    `upperdir=${escapeOption(upper)}`,
    `workdir=${escapeOption(work)}`
  ].join(',')
  return {
    scratch: ephemeral ? paths.scratch : undefined,
    upper,
    work,
    merged: paths.merged,
    flags: devices ? 0 : MOUNT_FLAG.noDev,
    // metacopy: chown and chmod copy up no content. redirect_dir: a directory of the image can be
    // renamed. The image is read through an absolute path, so both are safe: only we write upper.
    data: [`${directories},metacopy=on,redirect_dir=on`, directories]
  }
}

/** Overlayfs takes a backslash before what would end an option or a layer. */
function escapeOption(path: string): string {
  return path.replace(/[\\,]/g, (character) => `\\${character}`)
}

/** A colon parts the layers of `lowerdir` alone. */
function escapeLayer(path: string): string {
  return escapeOption(path).replaceAll(':', '\\:')
}

/**
 * Mounts an overlay as planned.
 *
 * @returns undoes it
 * @throws ContainerError `MOUNT_FAILED`, `NEEDS_ROOT`, `MISSING_TOOL`; nothing is left mounted then
 */
export async function mountOverlay(plan: OverlayPlan, lower: string): Promise<() => Promise<void>> {
  const undo = async (): Promise<void> => {
    await unmountAllUnder(plan.merged)
    if (plan.scratch !== undefined) await unmountAllUnder(plan.scratch)
  }
  try {
    if (plan.scratch !== undefined) {
      await mkdir(plan.scratch, { recursive: true, mode: 0o700 })
      await mount({
        source: 'tmpfs',
        target: plan.scratch,
        type: 'tmpfs',
        flags: MOUNT_FLAG.noSuid | MOUNT_FLAG.noDev,
        data: 'mode=700'
      })
    }
    await makeUpper(plan.upper, lower)
    await mkdir(plan.work, { recursive: true, mode: 0o700 })
    await mkdir(plan.merged, { recursive: true, mode: 0o700 })
    await mountWithFallback(plan)
  } catch (error) {
    await undo()
    throw error
  }
  return undo
}

/** The merged root shows the attributes of upper's root: they have to be those of the image. */
async function makeUpper(upper: string, lower: string): Promise<void> {
  const made = await mkdir(upper, { recursive: true, mode: 0o700 })
  if (made !== undefined) await copyAttributes(lower, upper)
}

async function mountWithFallback({ merged, flags, data, upper }: OverlayPlan): Promise<void> {
  const [preferred, plain] = data
  const call = { source: 'overlay', target: merged, type: 'overlay', flags }
  try {
    await mount({ ...call, data: preferred })
  } catch (error) {
    if (isContainerError(error, 'NEEDS_ROOT', 'MISSING_TOOL')) throw error
    try {
      await mount({ ...call, data: plain })
    } catch (cause) {
      throw new ContainerError(
        'MOUNT_FAILED',
        `cannot lay an overlay over the image: ${reason(cause)}`,
        {
          hint: `${upper} must be on a filesystem such as ext4, xfs, btrfs or tmpfs: choose another --home, or run with --ephemeral`,
          cause
        }
      )
    }
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
