import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ContainerError } from '../src/core/errors.ts'
import { run } from './command.ts'
import type { Arch, LockedPackage } from './package-lock.ts'

const RELEASE = 'trixie'
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
/** Where Debian's packages come from: `URI[,URI of security updates]`. */
const MIRROR_VARIABLE = 'DAT_CONTAINER_DEBIAN_MIRROR'

type ShownPackage = Omit<LockedPackage, 'arch'>

/**
 * An apt of our own: sources, state and cache in one folder, beside the machine's and without root.
 * Lists are checked against Debian's keys; packages against the lists, and again against the lock.
 */
export class Apt {
  readonly #config: string

  private constructor(config: string) {
    this.#config = config
  }

  /** @throws ContainerError `MISSING_TOOL`, `NOT_FOUND` for a machine without a Debian mirror */
  static async open(folder: string, arch: Arch): Promise<Apt> {
    const { main, security } = await mirrors()
    await mkdir(join(folder, 'state/lists/partial'), { recursive: true })
    await mkdir(join(folder, 'cache/archives/partial'), { recursive: true })
    await mkdir(join(folder, 'empty'), { recursive: true })
    await writeFile(join(folder, 'sources.list'), sources(main, security, arch))
    await writeFile(join(folder, 'status'), '')
    const config = join(folder, 'apt.conf')
    await writeFile(config, configuration(folder, arch))
    return new Apt(config)
  }

  /** Fetches the lists of packages. @throws ContainerError `IO` */
  async update(): Promise<void> {
    await this.#apt('apt-get', ['-qq', '-o', 'APT::Update::Error-Mode=any', 'update'])
  }

  /**
   * The newest version of each package.
   *
   * @throws ContainerError `NOT_FOUND`, `IO`
   */
  async newest(names: readonly string[], arch: Arch): Promise<LockedPackage[]> {
    const shown = await this.#show(['--no-all-versions'], names)
    return names.map((name) => {
      const found = shown.find((each) => each.name === name)
      if (found !== undefined) return { arch, ...found }
      throw new ContainerError('NOT_FOUND', `Debian ${RELEASE} has no package ${name}`)
    })
  }

  /** Those of `packages` whose version the archive has no longer. @throws ContainerError `IO` */
  async missing(packages: readonly LockedPackage[]): Promise<LockedPackage[]> {
    const names = packages.map(({ name }) => name)
    const shown = await this.#show(['--all-versions'], names)
    const there = new Set(shown.map(({ name, version }) => `${name} ${version}`))
    return packages.filter(({ name, version }) => !there.has(`${name} ${version}`))
  }

  /** Puts the .deb of a package into `folder`. @throws ContainerError `IO` */
  async download({ name, version }: LockedPackage, folder: string): Promise<void> {
    await this.#apt('apt-get', ['-qq', 'download', `${name}=${version}`], folder)
  }

  async #show(options: readonly string[], names: readonly string[]): Promise<ShownPackage[]> {
    const shown = await this.#apt('apt-cache', ['show', ...options, '--', ...names])
    const records = shown.toString().split('\n\n').map(fieldsOf)
    return records.flatMap((record) => {
      const [name, version, sha256] = ['Package', 'Version', 'SHA256'].map((key) => record.get(key))
      if (name === undefined || version === undefined || sha256 === undefined) return []
      return [{ name, version, sha256 }]
    })
  }

  async #apt(program: string, args: readonly string[], cwd?: string): Promise<Buffer> {
    return run(program, args, {
      env: { APT_CONFIG: this.#config },
      ...(cwd === undefined ? {} : { cwd })
    })
  }
}

/** The mirrors that this machine's own apt uses, unless the environment names others. */
async function mirrors(): Promise<{ main: string; security: string }> {
  const [main, security] = process.env[MIRROR_VARIABLE]?.split(',') ?? []
  if (main !== undefined && main !== '') {
    return { main, security: security ?? `${main.replace(/\/$/, '')}-security` }
  }
  const format = '$(ORIGIN)\t$(LABEL)\t$(REPO_URI)'
  const targets = (await run('apt-get', ['indextargets', '--format', format])).toString()
  const uris = new Map(
    targets
      .split('\n')
      .map((line) => line.split('\t'))
      .flatMap(([origin, label, uri]) => (origin === 'Debian' && uri ? [[label, uri]] : []))
  )
  const found = uris.get('Debian')
  if (found === undefined) {
    throw new ContainerError('NOT_FOUND', 'this machine knows no mirror of Debian', {
      hint: `name one: ${MIRROR_VARIABLE}=URI,URI-OF-SECURITY-UPDATES; or run apt-get update once`
    })
  }
  return {
    main: found,
    security: uris.get('Debian-Security') ?? `${found.replace(/\/$/, '')}-security`
  }
}

function sources(main: string, security: string, arch: Arch): string {
  const options = `[arch=${arch} signed-by=${KEYRING}]`
  return [
    `deb ${options} ${main} ${RELEASE} main`,
    `deb ${options} ${main} ${RELEASE}-updates main`,
    `deb ${options} ${security} ${RELEASE}-security main`,
    ''
  ].join('\n')
}

function configuration(folder: string, arch: Arch): string {
  return [
    `Dir::Etc::main "/dev/null";`,
    `Dir::Etc::parts "${folder}/empty";`,
    `Dir::Etc::sourcelist "${folder}/sources.list";`,
    `Dir::Etc::sourceparts "${folder}/empty";`,
    `Dir::Etc::preferencesparts "${folder}/empty";`,
    `Dir::State "${folder}/state";`,
    `Dir::State::status "${folder}/status";`,
    `Dir::Cache "${folder}/cache";`,
    `Acquire::Languages "none";`,
    // The user who builds fetches the files, so the folder need not be open to apt's own user.
    `APT::Sandbox::User "";`,
    `APT::Architecture "${arch}";`,
    ''
  ].join('\n')
}

function fieldsOf(record: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const line of record.split('\n')) {
    const [, key, value] = /^([A-Za-z0-9-]+): (.*)$/.exec(line) ?? []
    if (key !== undefined && value !== undefined) fields.set(key, value)
  }
  return fields
}
