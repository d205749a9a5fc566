import { ContainerError } from '../../core/errors.ts'

/** Units of time, the largest first: milliseconds in one, and its text. */
const UNITS: readonly (readonly [ms: number, text: string])[] = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's']
]
/** Fields that a filter looks in, as they are called in the document. */
const FILTERED: Readonly<Record<string, string>> = {
  name: 'name',
  image: 'image',
  state: 'state',
  status: 'state',
  command: 'command'
}

/** `{{name}}`, or `{{.Name}}` as docker writes it. */
const FIELD = /\{\{\s*\.?(\w+)\s*\}\}/

/** How long ago a time was, in its largest unit. @param time ISO 8601; nothing gives `-` */
export function ago(time: string | null | undefined, nowMs = Date.now()): string {
  const sinceMs = nowMs - Date.parse(time ?? '')
  if (Number.isNaN(sinceMs)) return '-'
  const [ms, text] = UNITS.find(([unit]) => sinceMs >= unit) ?? [1_000, 's']
  return `${Math.max(0, Math.floor(sinceMs / ms))} ${text} ago`
}

/**
 * Reads filters as `name=web`: of several for one field one has to fit, of several fields each.
 *
 * @throws ContainerError `USAGE`
 */
export function containerFilter(filters: readonly string[]): (container: object) => boolean {
  const wanted = new Map<string, string[]>()
  for (const filter of filters) {
    const [, name = '', text = ''] = /^(\w+)=(.*)$/s.exec(filter) ?? []
    const field = Object.hasOwn(FILTERED, name) ? FILTERED[name] : undefined
    if (field === undefined) {
      throw new ContainerError('USAGE', `not a filter: ${JSON.stringify(filter)}`, {
        hint: `write FIELD=TEXT, such as --filter name=web; fields are ${Object.keys(FILTERED).join(', ')}`
      })
    }
    wanted.set(field, [...(wanted.get(field) ?? []), text])
  }
  return (container) =>
    [...wanted].every(([field, texts]) => {
      const value = textOf(fieldOf(container, field))
      return texts.some((text) => value.includes(text))
    })
}

/**
 * Fills a template: `{{name}}` or `{{.Name}}` is a field of the document, `\\t` and `\\n` are blanks, as a line is one container.
 *
 * @param fields that there are; one that the container lacks is empty
 * @throws ContainerError `USAGE` for a field that there is not, and for a template that has none
 */
export function filledIn(template: string, container: object, fields: ReadonlySet<string>): string {
  if (!FIELD.test(template)) {
    throw new ContainerError('USAGE', `a template without a field: ${JSON.stringify(template)}`, {
      hint: "write it as '{{name}} {{state}}'; --json prints all there is"
    })
  }
  return template
    .replace(/\\[tn]/g, (escape) => (escape === '\\t' ? '  ' : ' '))
    .replaceAll(new RegExp(FIELD, 'g'), (_whole, given: string) => {
      const name = given.charAt(0).toLowerCase() + given.slice(1)
      if (!fields.has(name)) {
        throw new ContainerError('USAGE', `a container has no field ${JSON.stringify(given)}`, {
          hint: `it has ${[...fields].join(', ')}`
        })
      }
      return textOf(fieldOf(container, name))
    })
}

function fieldOf(container: object, name: string): unknown {
  return (container as Readonly<Record<string, unknown>>)[name]
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (Array.isArray(value)) return value.join(' ')
  return typeof value === 'string' ? value : JSON.stringify(value)
}
