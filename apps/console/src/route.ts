/**
 * The current page: `#/events/0190…?status=failed`. It is in the fragment, so that the service need not know the pages.
 */
import { computed, signal } from '@preact/signals'
import { type Params, queryOf } from './api.js'

const hash = signal(location.hash)
addEventListener('hashchange', () => {
  hash.value = location.hash
})

/** The parts of the path and the parameters. */
export const route = computed(() => {
  const [path = '', query = ''] = hash.value.replace(/^#\/?/, '').split('?')
  return {
    path: path.split('/').filter(Boolean).map(decode),
    params: Object.fromEntries(new URLSearchParams(query)) as Params,
  }
})

/** A part with an invalid encoding is taken literally. */
function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** Returns the address of a page. */
export function href(path: readonly string[], params: Params = {}): string {
  return `#/${path.map((part) => encodeURIComponent(part.toWellFormed())).join('/')}${queryOf(params)}`
}

export function go(path: readonly string[], params: Params = {}): void {
  location.hash = href(path, params)
}
