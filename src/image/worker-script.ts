/** URL of a worker's script beside this file, in whichever form this file itself is run. */
export function workerScript(name: string): URL {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`./${name}.${extension}`, import.meta.url)
}
