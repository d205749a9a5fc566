import { posix } from 'node:path'
import { given } from '../../core/given.ts'
import type { JsonFields } from '../../core/json-fields.ts'
import type { Healthcheck, StartCommand } from '../format/manifest.ts'
import { checkDigest } from './blob.ts'
import { badImage } from './image-error.ts'
import type { Platform } from './platform.ts'
import { MAX_SIGNAL, signalName } from './stop-signal.ts'

/** What an image's config says, as far as anything here can use it. */
export interface ImageConfig {
  readonly platform: Platform
  /** Digests of the layers' tar archives, uncompressed. */
  readonly diffIds: readonly string[]
  /** Without `mode` where the image names no command. */
  readonly start: Partial<StartCommand>
}

/** Docker itself stops at 127. */
export const MAX_LAYERS = 1024
const ARGUMENTS = { items: 4096, length: 128 * 1024 }
const WORD_LENGTH = 256
const PATH_LENGTH = 4096
const MAX_SET = 1024
const LABEL_LENGTH = 64 * 1024
const INIT = /^(?:(?:\/usr)?\/s?bin\/)?init$|^(?:(?:\/usr)?(?:\/s?bin|\/lib\/systemd)\/)?systemd$/
/** A manifest, which keeps all of it, may have 1 MiB with the history of versions. */
const MAX_START_LENGTH = 512 * 1024
const NANOSECONDS_A_MS = 1_000_000

/**
 * Reads an image's config.
 *
 * @throws ContainerError `BAD_SOURCE`
 * @see OCI image-spec, config.md; Docker's Healthcheck, which the specification reserves
 */
export function readImageConfig(fields: JsonFields): ImageConfig {
  const rootfs = fields.has('rootfs') ? fields.object('rootfs') : undefined
  const diffIds = rootfs?.has('diff_ids')
    ? rootfs.texts('diff_ids', { items: MAX_LAYERS, length: WORD_LENGTH })
    : []
  const start = fields.has('config') ? startOf(fields.object('config')) : {}
  if (JSON.stringify(start).length > MAX_START_LENGTH) {
    throw badImage('its config is larger than a manifest can hold')
  }
  return {
    platform: readPlatform(fields),
    diffIds: diffIds.map(checkDigest),
    start
  }
}

/** Reads the platform of a config, or of a descriptor. */
export function readPlatform(fields: JsonFields): Platform {
  const word = (name: string): string => (fields.has(name) ? fields.line(name, WORD_LENGTH) : '')
  const variant = word('variant')
  return {
    os: word('os') || 'linux',
    arch: word('architecture') || 'unknown',
    ...(variant === '' ? {} : { variant })
  }
}

function startOf(config: JsonFields): Partial<StartCommand> {
  const texts = (name: string): string[] => (config.has(name) ? config.texts(name, ARGUMENTS) : [])
  const line = (name: string, limit: number): string =>
    config.has(name) ? config.line(name, limit) : ''
  const keys = (name: string): string[] =>
    config.has(name) ? config.object(name).names(MAX_SET) : []
  const entrypoint = texts('Entrypoint')
  const argv = [...entrypoint, ...texts('Cmd')]
  // A name alone takes a variable away, which nothing has set.
  const env = texts('Env').filter((variable) => variable.indexOf('=') > 0)
  const cwd = line('WorkingDir', PATH_LENGTH)
  const user = line('User', WORD_LENGTH)
  const stopSignal = readStopSignal(config)
  const exposedPorts = keys('ExposedPorts').filter(isWord)
  const volumes = keys('Volumes')
    .map((path) => posix.resolve('/', path))
    .filter(isWord)
  const labels = readLabels(config)
  const healthcheck = config.has('Healthcheck') ? readHealthcheck(config) : undefined
  return {
    ...(argv.length === 0 ? {} : { mode: isInit(argv) ? 'boot' : 'process', argv }),
    ...(entrypoint.length === 0 ? {} : { entrypoint: entrypoint.length }),
    ...(env.length === 0 ? {} : { env }),
    ...(cwd === '' ? {} : { cwd: posix.resolve('/', cwd) }),
    ...(user === '' ? {} : { user }),
    ...(stopSignal === undefined ? {} : { stopSignal }),
    ...(exposedPorts.length === 0 ? {} : { exposedPorts }),
    ...(volumes.length === 0 ? {} : { volumes }),
    ...(healthcheck === undefined ? {} : { healthcheck }),
    ...(labels === undefined ? {} : { labels })
  }
}

function isWord(text: string): boolean {
  return text.length <= PATH_LENGTH && !text.includes('\0')
}

function isInit([command = '']: readonly string[]): boolean {
  return INIT.test(command)
}

function readLabels(config: JsonFields): Record<string, string> | undefined {
  if (!config.has('Labels')) return undefined
  const labels = config.object('Labels')
  const entries = labels.names(MAX_SET).map((name) => [name, labels.text(name, LABEL_LENGTH)])
  return entries.length === 0 ? undefined : (Object.fromEntries(entries) as Record<string, string>)
}

function readHealthcheck(config: JsonFields): Healthcheck | undefined {
  const fields = config.object('Healthcheck')
  if (!fields.has('Test')) return undefined
  const test = fields.texts('Test', ARGUMENTS)
  if (test.length === 0) return undefined
  const duration = (name: string): number | undefined => {
    const value = fields.get(name)
    // Nanoseconds; 0 means the default. What is too long for a double to hold is for ever anyway.
    if (typeof value !== 'number' || value <= 0) return undefined
    return Math.min(Math.ceil(value / NANOSECONDS_A_MS), Number.MAX_SAFE_INTEGER)
  }
  const times = {
    intervalMs: duration('Interval'),
    timeoutMs: duration('Timeout'),
    startPeriodMs: duration('StartPeriod'),
    retries: fields.has('Retries') ? fields.count('Retries') || undefined : undefined
  }
  return { test, ...given(times) }
}

/** As text, as Docker writes it, or as the number that a few programs write. */
function readStopSignal(config: JsonFields): string | undefined {
  const isNumber = typeof config.get('StopSignal') === 'number'
  if (!config.has('StopSignal')) return undefined
  const text = isNumber
    ? `${config.count('StopSignal', MAX_SIGNAL)}`
    : config.line('StopSignal', WORD_LENGTH)
  return text === '' ? undefined : signalName(text)
}
