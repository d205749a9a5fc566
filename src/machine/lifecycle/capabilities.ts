import { geteuid } from 'node:process'
import { isOnHost } from '../../core/host/package-manager.ts'
import { isContainerError } from '../../core/errors.ts'
import { findProgram } from '../qemu/find-qemu.ts'
import { machineHome } from '../state/machine-paths.ts'
import { findImage } from '../os-image/os-image.ts'
import { qemuProgram } from '../qemu/qemu-plan.ts'
import type { Architecture, Platform } from '../state/machine-types.ts'

/** Tells whether this machine can run containers itself: Linux, with systemd-nspawn, as root. */
export function canRunContainers(): boolean {
  return process.platform === 'linux' && geteuid?.() === 0 && isOnHost('systemd-nspawn')
}

/** Tells whether this machine can run virtual machines: it has QEMU and an image of HyperOS. */
export function canRunMachines(home: string): boolean {
  const program = qemuProgram(process.arch as Architecture)
  if (findProgram(process.platform as Platform, program) === undefined) return false
  try {
    findImage(machineHome(home).image)
    return true
  } catch (error) {
    if (isContainerError(error)) return false
    throw error
  }
}
