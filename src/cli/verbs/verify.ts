import type { ImageReference } from '../../p2p/link.ts'
import type { Command } from 'commander'
import type { CheckedImage, InspectedImage } from '../../session/connection/image-session.ts'
import { isContainerError } from '../../core/errors.ts'
import { readGlobals, type Globals } from '../parse/globals.ts'
import { interruptible } from '../print/interrupt.ts'
import { printError } from '../print/output.ts'
import { addOpenOptions, openToLook, type OpenFlags } from '../parse/open-options.ts'

/** Chunks asked for side by side. */
const IN_FLIGHT = 32

export function addVerify(program: Command): void {
  addOpenOptions(
    program
      .command('verify')
      .description('read and check every chunk of an image, fetching what is missing or damaged')
      .argument('<image>', 'a link, or the name of an image that is on this machine')
  )
    .addHelpText('after', "\nExample:\n  dat-container verify 'dat://KEY#SECRET' --offline")
    .action(async (link: ImageReference, flags: OpenFlags, command: Command) => {
      await verify(link, flags, readGlobals(command))
    })
}

async function verify(link: ImageReference, flags: OpenFlags, globals: Globals): Promise<void> {
  const { progressBar } = await import('../print/progress.ts')
  const { output } = globals
  await interruptible(async (signal) => {
    await using image = await openToLook(link, flags, globals, signal)
    const { chunks: table } = image.tree
    using bar = progressBar('verifying', output.json)
    let next = 0
    let checked = 0
    let storedBytes = 0
    const damaged: number[] = []
    const dropped = new Set<number | undefined>()
    const whole = image.checked()
    const before = (await image.stats()).damagedBlocks
    const worker = async (): Promise<void> => {
      while (next < table.length) {
        const chunk = next++
        try {
          // It belongs to a file that was replaced while it was published; nobody reads it.
          if (image.tree.chunkBytes[chunk] === 0) continue
          await whole.chunks.read(chunk, signal)
        } catch (error) {
          // Other chunks of a block that was dropped are not to be had either.
          const isDropped =
            isContainerError(error, 'PEERS_UNREACHABLE') && dropped.has(table.block[chunk])
          if (!isContainerError(error, 'BAD_BLOCK') && !isDropped) throw error
          dropped.add(table.block[chunk])
          if (damaged.length === 0) printError(error, output.json)
          damaged.push(chunk)
        }
        checked++
        storedBytes += table.storedBytes[chunk] ?? 0
        bar.update(storedBytes, image.manifest.storedBytes, `${checked}/${table.length} chunks`)
      }
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
    const partsDamaged = !(await areWhole(whole))
    const profileDamaged = !(await isProfileWhole(image, signal))
    const { key, version } = image
    const { damagedBlocks } = await image.stats()
    // What was damaged and is whole now has come from peers.
    const lost = new Set(damaged.map((chunk) => table.block[chunk])).size
    const repairedBlocks = Math.max(damagedBlocks - before - lost - (partsDamaged ? 1 : 0), 0)
    const counts = { chunks: checked, storedBytes, damaged: damaged.length, repairedBlocks }
    output.result({ key, version, ...counts, partsDamaged, profileDamaged }, () => [
      damaged.length === 0
        ? `version ${version}: all ${checked} chunks are whole`
        : `version ${version}: ${damaged.length} of ${checked} chunks are damaged`,
      ...(repairedBlocks === 0
        ? []
        : [`${repairedBlocks} damaged blocks in the store were fetched again from peers`]),
      ...(partsDamaged ? ['its index is damaged in the store, and no peer sends it'] : []),
      ...(profileDamaged ? ['its boot profile is damaged; starts will not use it'] : [])
    ])
    if (damaged.length > 0 || partsDamaged || profileDamaged) process.exitCode = 5
  })
}

async function areWhole(image: CheckedImage): Promise<boolean> {
  try {
    await image.parts()
    return true
  } catch (error) {
    if (isContainerError(error, 'BAD_BLOCK')) return false
    throw error
  }
}

async function isProfileWhole(image: InspectedImage, signal: AbortSignal): Promise<boolean> {
  try {
    await image.bootProfile(signal)
    return true
  } catch (error) {
    if (isContainerError(error, 'BAD_INDEX')) return false
    throw error
  }
}
