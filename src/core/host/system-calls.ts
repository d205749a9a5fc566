import { createRequire } from 'node:module'
import type { default as Koffi } from 'koffi'
import { ContainerError } from '../errors.ts'

let loaded: typeof Koffi | undefined

/**
 * The library through which system calls of Linux are made, loaded by the first of them: other systems
 * have other calls by the same names, and what runs there must not need it.
 *
 * @throws ContainerError `MISSING_TOOL` where this is not Linux, or the library is not installed
 */
export function systemCalls(): typeof Koffi {
  loaded ??= load()
  return loaded
}

/**
 * Functions of the C library of this process, whichever it is; loaded when they are asked for first.
 *
 * @param declarations of each, in C, by the name that it gets
 */
export function fromLibC<Functions extends object>(
  declarations: Readonly<Record<keyof Functions & string, string>>
): () => Functions {
  let functions: Functions | undefined
  return () => {
    if (functions !== undefined) return functions
    const self = systemCalls().load(null)
    const names = Object.keys(declarations) as (keyof Functions & string)[]
    const loads = names.map((name) => [name, self.func(declarations[name])])
    functions = Object.fromEntries(loads) as Functions
    return functions
  }
}

function load(): typeof Koffi {
  if (process.platform !== 'linux') throw needsLinux('a system call of this verb')
  try {
    return createRequire(import.meta.url)('koffi') as typeof Koffi
  } catch (cause) {
    throw new ContainerError('MISSING_TOOL', 'the module koffi does not load', {
      hint: 'install dat-container again: npm install -g dat-container',
      cause
    })
  }
}

/** The error of what only Linux can do. @param what begins its sentence */
export function needsLinux(what: string, hint = 'use --vm'): ContainerError {
  return new ContainerError('MISSING_TOOL', `${what} requires Linux`, { hint })
}
