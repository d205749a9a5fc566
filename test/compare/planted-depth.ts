import { execFileSync } from 'node:child_process'

/** Node.js cannot go where a path does not reach; this can, step by step. */
const PROGRAM = `
import os, sys
os.chdir(sys.argv[1])
for length in sys.argv[3:]:
    os.mkdir('d' * int(length))
    os.chdir('d' * int(length))
open('deepest', 'w').write(sys.argv[2])
`

/** Makes directories within one another, with names of so many bytes, and the file `deepest` in the last. */
export function plantDeep(root: string, nameBytes: readonly number[], content: string): void {
  execFileSync('python3', ['-c', PROGRAM, root, content, ...nameBytes.map(String)])
}
