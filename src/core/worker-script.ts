/**
 * URL of a worker's script beside the file that starts it, in whichever form that is run.
 *
 * @param starter `import.meta.url` of that file
 */
export function workerScript(name: string, starter: string): URL {
  const extension = starter.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`./${name}.${extension}`, starter)
}
