import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const PROGRAMS = ['sh', 'cat', 'id', 'true', 'sleep', 'ls']

/**
 * A root filesystem of a few megabytes that runs a shell: programs of this machine, their libraries.
 *
 * @param more programs that it has besides
 */
export function tinyRootfs(directory: string, more: readonly string[] = []): string {
  for (const name of ['usr/bin', 'etc', 'proc', 'sys', 'dev', 'run', 'tmp', 'root']) {
    mkdirSync(join(directory, name), { recursive: true })
  }
  for (const link of ['bin', 'lib', 'lib64']) {
    execFileSync('ln', ['-sfn', link === 'bin' ? 'usr/bin' : `usr/${link}`, join(directory, link)])
  }
  for (const program of [...PROGRAMS, ...more]) {
    const path = existsSync(`/usr/bin/${program}`) ? `/usr/bin/${program}` : `/bin/${program}`
    execFileSync('cp', ['--dereference', path, join(directory, 'usr/bin', program)])
    for (const [, library = ''] of execFileSync('ldd', [path])
      .toString()
      .matchAll(/(\/\S+) \(0x/g)) {
      const target = join(directory, 'usr', library.replace(/^\/usr/, ''))
      mkdirSync(join(target, '..'), { recursive: true })
      execFileSync('cp', ['--dereference', realpathSync(library), target])
    }
  }
  writeFileSync(join(directory, 'etc/os-release'), 'ID=tiny\n')
  writeFileSync(join(directory, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\n')
  return directory
}
