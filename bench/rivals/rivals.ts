import { casync } from './casync.ts'
import { registry } from './registry.ts'
import type { Rival } from './rival.ts'
import { rsync } from './rsync.ts'
import { squashfs } from './squashfs.ts'
import { sshfs } from './sshfs.ts'

/** By the name that `--rivals` takes. */
export const RIVALS: Readonly<Record<string, Rival>> = { registry, rsync, casync, squashfs, sshfs }
