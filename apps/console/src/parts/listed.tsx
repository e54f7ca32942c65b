/** A list of the service that is read page by page. */
import type { Page } from '@eventflow/client'
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { type ApiError, get, type Params } from '../api.js'
import { Nothing, Problem } from './basics.js'

interface ListedProps<Item> {
  path: string
  params?: Params
  label: string
  /** What is said of an empty list. */
  none: string
  /** What the button for the next page says. */
  more: string
  children: (items: readonly Item[]) => ComponentChildren
}

/** Give it a key that changes with the path and the parameters. */
export function Listed<Item>({ path, params = {}, label, none, more, children }: ListedProps<Item>) {
  const [items, setItems] = useState<Item[]>()
  const [next, setNext] = useState<string | null>(null)
  const [loading, setLoading] = useState(true)
  const [error, setError] = useState<ApiError>()

  const load = async (cursor?: string) => {
    setLoading(true)
    setError(undefined)
    try {
      const page = await get<Page<Item>>(path, { ...params, limit: '20', cursor })
      setItems((before) => (cursor && before ? [...before, ...page.items] : page.items))
      setNext(page.next)
    } catch (problem) {
      setError(problem as ApiError)
    }
    setLoading(false)
  }
  useEffect(() => void load(), [])

  return (
    <section aria-busy={loading}>
      <header class="heading">
        <h2>{label}</h2>
        <button type="button" class="quiet" onClick={() => load()} disabled={loading} aria-label={`Refresh: ${label}`}>
          Refresh
        </button>
      </header>
      <Problem error={error} />
      {items?.length === 0 && <Nothing>{none}</Nothing>}
      {items && items.length > 0 && children(items)}
      {next && (
        <div class="buttons">
          <button type="button" onClick={() => load(next)} disabled={loading}>
            {more}
          </button>
        </div>
      )}
    </section>
  )
}
