/** Light or dark: as the system is set, unless the user has chosen. */
import { signal } from '@preact/signals'

const system = matchMedia('(prefers-color-scheme: dark)')

type Theme = 'light' | 'dark'

const chosen = signal(localStorage.getItem('theme') as Theme | null)

export const theme = signal<Theme>('light')

function apply(): void {
  theme.value = chosen.value ?? (system.matches ? 'dark' : 'light')
  document.documentElement.dataset.theme = theme.value
}

system.addEventListener('change', apply)
apply()

export function changeTheme(): void {
  chosen.value = theme.value === 'dark' ? 'light' : 'dark'
  localStorage.setItem('theme', chosen.value)
  apply()
}
