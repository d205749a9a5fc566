import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import { debianRootfs } from './rootfs.ts'

/** A host of its own, booted with systemd as its PID 1. */
export interface Host extends AsyncDisposable {
  run(script: string): Promise<{ exitCode?: number; stdout: string; stderr: string }>
}

/** Boots this machine's own system on a throw-away overlay. @param directory for what it needs */
export async function systemdHost(directory: string): Promise<Host> {
  const [layer, state] = [join(directory, 'layer'), join(directory, 'state')]
  mkdirSync(layer)
  mkdirSync(state)
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', layer])
  const [upper, work, merged] = ['upper', 'work', 'merged'].map((name) => join(layer, name))
  for (const path of [upper, work, merged]) mkdirSync(path ?? '')
  const options = `lowerdir=/,upperdir=${upper},workdir=${work}`
  execFileSync('mount', ['-t', 'overlay', 'overlay', '-o', options, merged ?? ''])
  const repository = fileURLToPath(new URL('../../../', import.meta.url))
  const main = fileURLToPath(new URL('../../../dist/main.js', import.meta.url))
  const nspawn = spawn(
    'systemd-nspawn',
    [
      ...['--quiet', '--settings=no', '--register=no', '--keep-unit', '--link-journal=no'],
      ...['--console=pipe', '--boot', '--kill-signal=SIGRTMIN+3', '--private-network'],
      ...['--capability=all', '--system-call-filter=@mount @keyring bpf', '--bind=/dev/fuse'],
      ...[`--bind=${state}:/srv/state`, `--bind-ro=${debianRootfs()}:/srv/rootfs`],
      ...[`--bind-ro=${repository}:/srv/repository`, `--directory=${merged}`],
      `--bind-ro=${process.execPath}:/srv/node`,
      ...[`--machine=dat-systemd-host-${process.pid}`, '--', '--unit=basic.target']
    ],
    { stdio: 'ignore' }
  )
  const ended = new Promise<void>((resolve) => nspawn.once('close', () => resolve()))
  const dispose = async (): Promise<void> => {
    nspawn.kill('SIGTERM')
    await ended
    execFileSync('umount', [merged ?? ''])
    execFileSync('umount', [layer])
  }
  const enter = async (script: string) => {
    const leader = childOf(nspawn.pid ?? 0)
    const environment = [
      'env',
      '-i',
      `PATH=${process.env['PATH']}`,
      `MAIN=${inRepository(main, repository)}`
    ]
    const argv = [`--target=${leader}`, '--all', '--', ...environment, 'bash', '-c', script]
    return execa('nsenter', argv, { reject: false, stdin: 'ignore', timeout: 120_000 })
  }
  try {
    for (;;) {
      const { stdout } = await enter('systemctl is-system-running --wait')
      if (['running', 'degraded'].includes(stdout)) break
      if (nspawn.exitCode !== null) throw new Error('the host within ended')
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    run: async (script) => {
      writeFileSync(join(state, 'script'), script)
      const { exitCode, stdout, stderr } = await enter('. /srv/state/script')
      return { stdout, stderr, ...(exitCode === undefined ? {} : { exitCode }) }
    },
    [Symbol.asyncDispose]: dispose
  }
}

function inRepository(path: string, repository: string): string {
  return join('/srv/repository', path.slice(repository.length))
}

function childOf(pid: number): string {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0] ?? ''
}
