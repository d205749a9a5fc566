import type { Command } from 'commander'
import { addAttestRecord } from './verbs/containers/attest-record.ts'
import { addBoot } from './verbs/containers/boot.ts'
import { addCat } from './verbs/cat.ts'
import { addChannel } from './verbs/channel.ts'
import { addCompletion } from './verbs/completion.ts'
import { addContainers } from './verbs/containers/containers.ts'
import { addDaemon } from './verbs/daemon/daemon.ts'
import { addDht } from './verbs/dht.ts'
import { addDiff } from './verbs/diff.ts'
import { addDoctor } from './verbs/doctor.ts'
import { addExec } from './verbs/containers/exec.ts'
import { addExport } from './verbs/export.ts'
import { addGc } from './verbs/gc.ts'
import { addIdentity } from './verbs/identity.ts'
import { addImages } from './verbs/images.ts'
import { addInfo } from './verbs/info.ts'
import { addKeep } from './verbs/keep.ts'
import { addLogs } from './verbs/containers/logs.ts'
import { addLs } from './verbs/ls.ts'
import { addMachine } from './verbs/machine/machine.ts'
import { addMount } from './verbs/containers/mount.ts'
import { addPull } from './verbs/pull.ts'
import { addRelay } from './verbs/relay.ts'
import { addRepair } from './verbs/repair.ts'
import { addShare } from './verbs/share.ts'
import { addStats } from './verbs/containers/stats.ts'
import { addTop } from './verbs/top/top.ts'
import { addVerify } from './verbs/verify.ts'

/** Every verb, in the order in which help lists them. */
export const VERBS: readonly ((program: Command) => void)[] = [
  addShare,
  addBoot,
  addContainers,
  addExec,
  addLogs,
  addStats,
  addTop,
  addMount,
  addInfo,
  addLs,
  addCat,
  addDiff,
  addExport,
  addVerify,
  addPull,
  addImages,
  addKeep,
  addChannel,
  addGc,
  addRepair,
  addDaemon,
  addDht,
  addIdentity,
  addRelay,
  addMachine,
  addAttestRecord,
  addDoctor,
  addCompletion
]
