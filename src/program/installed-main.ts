/** What npm runs when it has installed the package (`postinstall`). */
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { removeForeignBuilds } from './foreign-builds.ts'

const folder = dirname(dirname(fileURLToPath(import.meta.url)))
removeForeignBuilds(folder, `${process.platform}-${process.arch}`)
