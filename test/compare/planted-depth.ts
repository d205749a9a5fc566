import { execFileSync } from 'node:child_process'

/** Node.js cannot go where a path does not reach; this can, step by step. */
const PROGRAM = `
import os, sys
os.chdir(sys.argv[1])
for level in range(int(sys.argv[2])):
    os.mkdir('d' * 250)
    os.chdir('d' * 250)
open('deepest', 'w').write(sys.argv[3])
`

/** Makes directories of 250 bytes each within one another, and the file `deepest` in the last. */
export function plantDeep(root: string, levels: number, content: string): void {
  execFileSync('python3', ['-c', PROGRAM, root, `${levels}`, content])
}
