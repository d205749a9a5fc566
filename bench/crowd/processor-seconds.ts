import { readFileSync } from 'node:fs'

/** What a process has used so far, seconds. Source: proc_pid_stat(5); a tick is 10 ms. */
export function processorSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / 100
}
