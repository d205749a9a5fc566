import { element } from './dom.ts'

const KEY = 'theme'
const THEMES = [
  ['auto', 'Auto'],
  ['light', 'Light'],
  ['dark', 'Dark']
] as const

/**
 * Fills a radio group in which the theme is chosen. It is the system's until then, and the choice is kept in this browser.
 *
 * @param onChange called after each change, also one of the system
 */
export function addThemeSwitch(group: HTMLElement, onChange: () => void): void {
  const buttons = THEMES.map(([theme, text]) => {
    const button = element('button', {
      text,
      attributes: { type: 'button', role: 'radio', 'data-theme': theme }
    })
    button.addEventListener('click', () => choose(theme))
    return button
  })
  const choose = (theme: string): void => {
    localStorage.setItem(KEY, theme)
    show(theme)
    onChange()
  }
  const show = (theme: string): void => {
    document.documentElement.dataset['theme'] = theme
    for (const button of buttons) {
      const isChosen = button.dataset['theme'] === theme
      button.setAttribute('aria-checked', String(isChosen))
      button.tabIndex = isChosen ? 0 : -1
    }
  }
  group.addEventListener('keydown', (event) => {
    const { key } = event
    const step = key === 'ArrowRight' || key === 'ArrowDown' ? 1 : -1
    if (!key.startsWith('Arrow')) return
    event.preventDefault()
    const at = buttons.findIndex((button) => button === document.activeElement)
    const next = buttons.at((at + step) % buttons.length)
    next?.focus()
    next?.click()
  })
  group.append(...buttons)
  const kept = localStorage.getItem(KEY) ?? ''
  show(THEMES.some(([theme]) => theme === kept) ? kept : 'auto')
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', onChange)
}
