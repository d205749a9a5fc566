import { existsSync, readFileSync } from 'node:fs'
import { release, uptime } from 'node:os'
import { readJsonFile, writeJsonFile } from '../../core/json-file.ts'
import {
  bootSectorGuest,
  probeGuest,
  type KvmVerdict,
  type ProbeGuest
} from '../../core/host/kvm-probe.ts'
import { ContainerError } from '../../core/errors.ts'
import { armGuest } from './arm-probe.ts'
import type { Qemu } from './find-qemu.ts'
import { candidates, processorArguments } from './qemu-plan.ts'
import type { Accelerator, Architecture, Platform } from '../state/machine-types.ts'
import * as v from 'valibot'
import type { Shape } from '../../core/record-format.ts'

interface Probe {
  readonly verdict: KvmVerdict
  /** A phrase that says what was observed. */
  readonly detail: string
}

/** Results of probes, by accelerator and guest; the file may be deleted. */
const knownProbes: Shape<
  Readonly<Record<string, { readonly key: string; readonly probe: Probe }>>
> = v.record(
  v.string(),
  v.looseObject({
    key: v.string(),
    probe: v.looseObject({ verdict: v.picklist(['works', 'hangs', 'refused']), detail: v.string() })
  })
)

export interface ChosenAccelerator {
  readonly accelerator: Accelerator
  /** Why it is a slower one than was hoped for; one line for people. */
  readonly notice?: string
}

export interface AcceleratorQuestion {
  readonly asked: Accelerator | 'auto'
  readonly host: { readonly platform: Platform; readonly architecture: Architecture }
  readonly guest: Architecture
  readonly qemu: Qemu
  /** File that remembers what probes found. */
  readonly cache: string
}

const SLOW = 'the machine is emulated in software, which is many times slower'

/**
 * Chooses how QEMU runs the guest's processors. An accelerator that can be opened may still hang
 * every guest, so a tiny one is run first (at most five seconds; remembered until this machine
 * boots again, or QEMU or the kernel changes).
 *
 * @throws ContainerError `MISSING_TOOL` for an accelerator that this machine does not have
 */
export async function chooseAccelerator(question: AcceleratorQuestion): Promise<ChosenAccelerator> {
  const { asked, host, guest } = question
  if (asked === 'tcg') return { accelerator: 'tcg' }
  const [best = 'tcg'] = candidates(host, guest)
  if (asked !== 'auto' && asked !== best) {
    throw new ContainerError(
      'MISSING_TOOL',
      `${asked} does not run ${guest} guests on this machine`,
      {
        hint: best === 'tcg' ? 'use --accel tcg' : `use --accel ${best}, or tcg`
      }
    )
  }
  if (best === 'tcg') {
    const why = `this machine has ${host.architecture} processors and the guest wants ${guest}`
    return { accelerator: 'tcg', notice: `${why}: ${SLOW}` }
  }
  if (best === 'kvm' && !existsSync('/dev/kvm')) {
    if (asked !== 'auto') {
      throw new ContainerError('MISSING_TOOL', 'this machine has no KVM: there is no /dev/kvm', {
        hint: 'use --accel tcg; see dat-container doctor'
      })
    }
    return { accelerator: 'tcg', notice: `there is no /dev/kvm: ${SLOW}` }
  }
  const { verdict, detail } = await rememberedProbe(best, question)
  if (verdict === 'works') return { accelerator: best }
  const problem =
    verdict === 'hangs'
      ? `${best} opens but ${detail}`
      : `QEMU does not run on ${best} (${detail.replace(/^qemu-system-\w+(?:\.exe)?: /, '')})`
  return { accelerator: 'tcg', notice: `${problem}: ${SLOW}` }
}

async function rememberedProbe(
  accelerator: Accelerator,
  { guest, qemu, cache }: AcceleratorQuestion
): Promise<Probe> {
  // The user is part of it: who may open /dev/kvm differs.
  const key = [
    accelerator,
    guest,
    qemu.version,
    release(),
    bootId(),
    process.getuid?.() ?? ''
  ].join(' ')
  // One entry for each of these: what another kernel or QEMU did is of no use.
  const kind = `${accelerator} ${guest}`
  const known = (await readJsonFile(cache, knownProbes)) ?? {}
  const remembered = known[kind]
  if (remembered?.key === key) return remembered.probe
  const probe = await probeAccelerator(accelerator, guest, qemu)
  await writeJsonFile(cache, { ...known, [kind]: { key, probe } })
  return probe
}

/**
 * Runs a guest of a few instructions.
 *
 * @throws ContainerError `MISSING_TOOL`
 */
export async function probeAccelerator(
  accelerator: Accelerator,
  guest: Architecture,
  qemu: Pick<Qemu, 'program'>
): Promise<Probe> {
  const guestOn = (chosen: Accelerator): ProbeGuest => {
    const processor = processorArguments(chosen, guest)
    return guest === 'x64'
      ? bootSectorGuest(processor, qemu.program)
      : armGuest(processor, qemu.program)
  }
  return probeGuest(guestOn(accelerator), guestOn('tcg'))
}

/** Identifies this boot of the machine. */
function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    // No such file but on Linux. Minutes: the clock is set now and then.
    return String(Math.round((Date.now() / 1000 - uptime()) / 60))
  }
}
