import test from 'brittle'
import { openSync, readFileSync } from 'node:fs'
import { bootDetached } from '../../src/boot/runner/boot-detached.ts'
import { execInContainer } from '../../src/boot/containers/exec.ts'
import { bootFixture } from '../boot/boot-fixture.ts'
import { LONG } from '../e2e/sandbox.ts'

/**
 * Opens for writing whatever lies where this program puts what a container needs, and says what opened.
 * It writes nothing: that would be this machine's own file, should there be one.
 */
const ATTACK = `cd /run/dat-container && for file in *; do
  mount -o remount,bind,rw "/run/dat-container/$file" && : >> "$file" && echo "$file"
done 2>/dev/null; true`

void test(
  'a user by number brings no program of this machine into the container',
  LONG,
  async (t) => {
    const { base, home } = bootFixture(t)
    const name = 'numbered'
    await bootDetached({
      container: {
        ...base,
        name,
        user: '4242:7',
        privateUsers: 'no',
        command: ['sleep', '1000']
      },
      wait: 'ready'
    })
    const output = `${home}/output`
    const run = async (argv: string[], user?: string): Promise<string> => {
      const stdio = ['ignore', openSync(output, 'w'), 2] as const
      await execInContainer({ home, name, argv, stdio, ...(user !== undefined && { user }) })
      return readFileSync(output, 'utf8').trim()
    }
    t.is(
      await run(['sh', '-c', 'id -u; id -g']),
      '4242\n7',
      'control: the image runs, as that user'
    )
    t.is(await run(['sh', '-c', ATTACK], 'root'), 'start', "one file, of this container's own")
  }
)
