import type { Healthcheck, Manifest, StartCommand } from '../format/manifest.ts'

const NANOSECONDS_A_MS = 1_000_000
/** What boots an image that says no more than that it has an init. */
const INIT = ['/sbin/init']
/** What systemd takes for a power-off; images with other inits say it themselves. */
const INIT_STOP_SIGNAL = 'SIGRTMIN+3'

/**
 * The config of an image as others know it.
 *
 * @param diffId digest of the archive of its one layer
 * @see OCI image-spec, config.md
 */
export function exportedConfig(manifest: Manifest, diffId: string): object {
  const { arch, os, start, version, name, created } = manifest
  return {
    created,
    architecture: arch,
    os,
    config: startConfig(start),
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created, created_by: `dat-container export: ${name} version ${version}` }]
  }
}

function startConfig(start: StartCommand): object {
  const { mode, env, cwd, user, exposedPorts, volumes, healthcheck, labels } = start
  const argv = start.argv ?? (mode === 'boot' ? INIT : [])
  const entrypoint = start.entrypoint ?? (start.argv === undefined ? argv.length : 0)
  const stopSignal = start.stopSignal ?? (mode === 'boot' ? INIT_STOP_SIGNAL : undefined)
  return {
    ...(user === undefined ? {} : { User: user }),
    ...(exposedPorts === undefined ? {} : { ExposedPorts: keys(exposedPorts) }),
    ...(env === undefined ? {} : { Env: env }),
    ...(entrypoint === 0 ? {} : { Entrypoint: argv.slice(0, entrypoint) }),
    ...(entrypoint >= argv.length ? {} : { Cmd: argv.slice(entrypoint) }),
    ...(volumes === undefined ? {} : { Volumes: keys(volumes) }),
    ...(cwd === undefined ? {} : { WorkingDir: cwd }),
    ...(labels === undefined ? {} : { Labels: labels }),
    ...(stopSignal === undefined ? {} : { StopSignal: stopSignal }),
    ...(healthcheck === undefined ? {} : { Healthcheck: exportedHealthcheck(healthcheck) })
  }
}

function exportedHealthcheck(healthcheck: Healthcheck): object {
  const { test, intervalMs, timeoutMs, startPeriodMs, retries } = healthcheck
  const duration = (name: string, ms: number | undefined): object =>
    ms === undefined ? {} : { [name]: ms * NANOSECONDS_A_MS }
  return {
    Test: test,
    ...duration('Interval', intervalMs),
    ...duration('Timeout', timeoutMs),
    ...duration('StartPeriod', startPeriodMs),
    ...(retries === undefined ? {} : { Retries: retries })
  }
}

function keys(names: readonly string[]): Record<string, object> {
  return Object.fromEntries(names.map((name) => [name, {}]))
}
