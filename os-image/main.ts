/**
 * Builds HyperOS, a small Linux that carries this tool.
 *
 *   npm run os-image                       build into os-image/dist
 *   npm run os-image -- --arch arm64       build for arm64, into os-image/dist-arm64
 *   npm run os-image -- --sign KEYFILE     and sign the manifest
 *   npm run os-image -- --if-changed       where dist is not made of what is here now
 *   npm run os-image -- --quick            compress with little effort: a larger image, for tests
 *   npm run os-image -- lock               take the newest packages into packages.lock
 *   npm run os-image -- keygen FILE        make a key to sign with: FILE, and FILE.pub
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { writeFileAtomically } from '../src/core/atomic-file.ts'
import { ContainerError } from '../src/core/errors.ts'
import { buildImage } from './build.ts'
import { lockCache } from './cache-lock.ts'
import { run } from './command.ts'
import { isBuilt } from './inputs.ts'
import { parseNames, refreshedLock } from './packages.ts'
import { ARCHES, type Arch } from './package-lock.ts'
import { lockFile, outputFolder, ROOT, SOURCE } from './paths.ts'
import { generateKeys } from './sign.ts'

/** When nothing says otherwise: 2025-08-09, the day of the Debian release that the packages are of. */
const DEFAULT_EPOCH = 1754697600

interface BuildFlags {
  readonly arch: Arch
  readonly sign?: string
  readonly ifChanged?: boolean
  readonly quick?: boolean
}

const program = new Command('os-image').description('build HyperOS')
program
  .command('build', { isDefault: true })
  .description('build kernel, initrd, EFI image and manifest into os-image/dist or dist-arm64')
  .addOption(archOption())
  .option('--sign <file>', 'sign the manifest with this minisign secret key')
  .option('--if-changed', 'build nothing where the image was made of what is here now')
  .option('--quick', 'compress with little effort: a larger image, for tests')
  .action(async ({ arch, sign, ifChanged, quick }: BuildFlags) => {
    const effort = quick === true ? 'least' : 'most'
    if (ifChanged === true && (await isBuilt({ arch, epoch: epoch(), effort }))) {
      note(`${outputFolder(arch)} is made of what is here`)
      return
    }
    const table = await buildImage({
      ...{ arch, epoch: epoch(), released: await released(), effort },
      ...{ secretKeyFile: sign, note }
    })
    console.log(table.join('\n'))
  })
program
  .command('lock')
  .description('take the newest version of each package into packages.lock or packages.arm64.lock')
  .addOption(archOption())
  .action(async ({ arch }: { arch: Arch }) => {
    const names = parseNames(await readFile(join(SOURCE, 'packages.list'), 'utf8'))
    await using _cache = await lockCache(note)
    const lock = await refreshedLock(names, arch)
    await writeFileAtomically(lockFile(arch), lock, 0o644)
    note(`locked ${lock.split('\n').length - 2} packages`)
  })
program
  .command('keygen')
  .description('make a key to sign with')
  .argument('<file>', 'the secret key; the public one is FILE.pub')
  .action(async (file: string) => {
    const { secretKey, publicKey } = generateKeys()
    // A key that is overwritten is lost for ever.
    await writeFile(file, secretKey, { flag: 'wx', mode: 0o600 })
    await writeFile(`${file}.pub`, publicKey)
    note(`${file}, and for those who check: ${file}.pub`)
  })

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof Error)) throw error
  console.error(`os-image: ${error.message}`)
  if (error instanceof ContainerError && error.hint !== undefined) console.error(`  ${error.hint}`)
  process.exitCode = 1
}

function archOption(): Option {
  return new Option('--arch <name>', 'for processors of this kind').choices(ARCHES).default('amd64')
}

function note(text: string): void {
  console.error(text)
}

/** When the checkout's last commit was made: a later one makes a newer release. */
async function released(): Promise<number> {
  if (process.env['SOURCE_DATE_EPOCH'] !== undefined) return epoch()
  try {
    return Number(await run('git', ['log', '-1', '--format=%ct'], { cwd: ROOT }))
  } catch (error) {
    if (!(error instanceof ContainerError)) throw error
    note('there is no commit to take the time of release from; it is that of the packages')
    return epoch()
  }
}

function epoch(): number {
  const given = process.env['SOURCE_DATE_EPOCH']
  if (given === undefined) return DEFAULT_EPOCH
  const seconds = Number(given)
  if (Number.isSafeInteger(seconds) && seconds >= 0) return seconds
  throw new ContainerError('USAGE', 'SOURCE_DATE_EPOCH is not a number of seconds')
}
