import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'brittle'
import { ImageCatalog } from '../../src/daemon/catalog/image-catalog.ts'
import { quoteForShell } from '../../src/core/host/shell-quote.ts'
import { isOnHost } from '../../src/core/host/package-manager.ts'
import { MAIN } from './sandbox.ts'

type Shell = 'bash' | 'zsh' | 'fish'

/** A home that knows names, and `dat-container` on the path of shells. */
class Place implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), 'dat-words-'))
  readonly #home = join(this.directory, 'home')
  readonly trap = join(this.directory, 'trap')

  async plant(): Promise<void> {
    for (const name of ['containers/web', 'containers/worker', 'machines/builder']) {
      mkdirSync(join(this.#home, name), { recursive: true })
    }
    execFileSync('chmod', ['-R', 'go=', this.#home])
    mkdirSync(join(this.directory, 'bin'))
    const program = join(this.directory, 'bin/dat-container')
    writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`, {
      mode: 0o755
    })
    mkdirSync(join(this.directory, 'files'))
    writeFileSync(join(this.directory, 'files/debian.tar'), '')
    const catalog = await ImageCatalog.load(join(this.#home, 'images.json'))
    const hostile = [`debian$(touch ${this.trap})`, 'debian;touch x', 'debian\nand', '-debian']
    for (const [n, name] of ['debian', 'debian-lab', ...hostile].entries()) {
      const key = String(n).padStart(64, '0')
      const rest = { secret: null, follow: false, version: 1, namespace: null, publishing: false }
      await catalog.put({ ...rest, key, role: 'owner', name, createdAt: new Date(0).toISOString() })
    }
  }

  /** What a shell offers for the last of `words`. */
  offered(shell: Shell, ...words: string[]): string[] {
    const script = this.run(shell, `dat-container completion ${shell} > ../script; true`)
    if (script !== '') throw new Error(script)
    const line = ['dat-container', ...words]
    const lines = this.run(shell, ASK[shell](line)).split('\n')
    return lines.map((each) => each.trim()).filter((each) => each !== '')
  }

  run(shell: Shell, text: string): string {
    const args = { bash: ['--norc', '-c'], zsh: ['-f', '-c'], fish: ['--no-config', '-c'] }[shell]
    return execFileSync(shell, [...args, text], {
      cwd: join(this.directory, 'files'),
      encoding: 'utf8',
      env: {
        ...process.env,
        PATH: `${join(this.directory, 'bin')}:${process.env['PATH'] ?? ''}`,
        HOME: this.directory,
        DAT_CONTAINER_HOME: this.#home,
        DAT_CONTAINER_RUNTIME_DIR: join(this.directory, 'run')
      }
    })
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** Shell text that completes the last word of a line, and prints what it finds. */
const ASK: Readonly<Record<Shell, (words: readonly string[]) => string>> = {
  bash: (words) => `source ../script
COMP_WORDS=(${words.map(quoteForShell).join(' ')}); COMP_CWORD=${words.length - 1}
_dat_container dat-container; printf '%s\\n' "\${COMPREPLY[@]}"`,
  // Where its line editor does not run, what that would be told is printed.
  zsh: (words) => `compdef() { :; }
source ../script
offer() { local each none=1; for each; do [[ $each == $PREFIX* ]] && none=0 && print -r -- $each; done; return $none; }
_describe() { [[ $1 == -o ]] && shift; offer \${\${(P)2}%%:*}; }
compadd() { offer \${(P)2}; }
_files() { offer *(N) || true; }
words=(${words.map(quoteForShell).join(' ')}); CURRENT=${words.length}; PREFIX=\${words[-1]}
_dat_container`,
  fish: (words) => `source ../script
complete -C ${quoteForShell(words.join(' '))} | string replace -r '\\t.*' ''; true`
}

const CASES: readonly (readonly [words: readonly string[], offered: readonly string[]])[] = [
  [['pu'], ['pull']],
  [
    ['boot', 'debian'],
    ['debian', 'debian-lab']
  ],
  [['pull', 'debian-'], ['debian-lab']],
  [['rmi', 'debian-'], ['debian-lab']],
  [
    ['rm', 'web', 'w'],
    ['web', 'worker']
  ],
  [['exec', 'wo'], ['worker']],
  [
    ['machine', 'sta'],
    ['start', 'status']
  ],
  [['machine', 'stop', 'b'], ['builder']],
  [['share', '--update', 'debian-'], ['debian-lab']],
  [['boot', '--machine', 'b'], ['builder']],
  [['logs', '--fol'], ['--follow']],
  [['info', '--js'], ['--json']],
  [['share', 'deb'], ['debian.tar']],
  [['export', 'debian', 'o'], ['oci']],
  [['completion', 'f'], ['fish']],
  [['--json', 'pull', 'debian-'], ['debian-lab']],
  [['--home', '/nowhere', 'pu'], ['pull']],
  [['--home', '/nowhere', 'pull', 'debian-'], []],
  [['pull', '--home', '/nowhere', 'debian-'], []],
  [['help', 'mir'], ['mirror']],
  [['boot', 'debian', '--mount', 'e'], ['erofs']],
  [
    ['share', '--as', ''],
    ['files', 'tar']
  ],
  [['export', 'debian', '--compression', 'z'], ['zstd']],
  [['boot', '-v', 'deb'], ['debian.tar']],
  [['boot', 'debian', '--', 'deb'], ['debian.tar']],
  [['mirror', '--wait', 'debian-'], ['debian-lab']]
]

for (const shell of ['bash', 'zsh', 'fish'] as const) {
  const skip = !isOnHost(shell)
  void test(
    `${shell} completes verbs, options and names${skip ? ' (it is not installed)' : ''}`,
    { skip, timeout: 300_000 },
    async (t) => {
      using place = new Place()
      await place.plant()
      for (const [words, offered] of CASES) {
        t.alike(place.offered(shell, ...words).sort(), offered, words.join(' '))
      }
      t.absent(existsSync(place.trap), 'no name is run')
    }
  )
}

void test('names are those that no shell reads otherwise, and asking makes nothing', async (t) => {
  using place = new Place()
  await place.plant()
  t.is(place.run('bash', 'dat-container completion --names images'), 'debian\ndebian-lab\n')
  const nowhere = join(place.directory, 'nowhere')
  t.is(place.run('bash', `dat-container --home ${nowhere} completion --names images`), '')
  t.absent(existsSync(nowhere))
  rmSync(join(place.directory, 'home/images.json'))
  symlinkSync('/proc/self/mem', join(place.directory, 'home/images.json'))
  t.is(
    place.run('bash', 'dat-container completion --names images'),
    '',
    'what does not read is none'
  )
})
