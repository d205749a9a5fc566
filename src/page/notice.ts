import { element } from './dom.ts'

/** What is said where there is nothing to show, and the command that leads on. */
export function notice(title: string, text: string, ...commands: readonly string[]): HTMLElement {
  return element('div', {
    class: 'notice',
    children: [
      element('h2', { text: title }),
      element('p', { text }),
      ...commands.map((command) =>
        element('pre', { children: [element('code', { text: command })] })
      )
    ]
  })
}
