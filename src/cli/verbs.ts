import type { Command } from 'commander'
import { addCat } from './verbs/cat.ts'
import { addDaemon } from './verbs/daemon.ts'
import { addDht } from './verbs/dht.ts'
import { addImages } from './verbs/images.ts'
import { addInfo } from './verbs/info.ts'
import { addLs } from './verbs/ls.ts'
import { addPull } from './verbs/pull.ts'
import { addShare } from './verbs/share.ts'
import { addVerify } from './verbs/verify.ts'

/** Every verb, in the order in which help lists them. */
export const VERBS: readonly ((program: Command) => void)[] = [
  addShare,
  addInfo,
  addLs,
  addCat,
  addVerify,
  addPull,
  addImages,
  addDaemon,
  addDht
]
