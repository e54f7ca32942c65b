/** Reading from the service in a component. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError, get, keyRefused, keysGiven } from './api.js'

/** What was read. During another read the old answer is kept, so that the page does not jump. */
export interface Reading<Answer> {
  answer: Answer | undefined
  error: ApiError | undefined
  loading: boolean
  again: () => void
}

/** Reads `path` (nothing if it is empty) at once, and again every `everyMs` if given. */
export function useGet<Answer>(path: string, everyMs?: number): Reading<Answer> {
  const [state, setState] = useState<{ path: string; answer?: Answer; error?: ApiError; loading: boolean }>({
    path,
    loading: path !== '',
  })
  const [turn, setTurn] = useState(0)
  const again = useRef(() => setTurn((before) => before + 1)).current
  const key = keysGiven.value

  useEffect(() => {
    if (path === '') return
    const leaving = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const read = async () => {
      setState((before) => ({ ...(before.path === path ? before : { path }), loading: true }))
      try {
        const answer = await get<Answer>(path, {}, leaving.signal)
        setState({ path, answer, loading: false })
      } catch (error) {
        if (leaving.signal.aborted) return
        const problem = error instanceof ApiError ? error : new ApiError(0, 'Something went wrong', String(error))
        setState((before) => ({ ...before, path, error: problem, loading: false }))
      }
      // With the same key it would be refused again; a new key restarts this effect.
      if (everyMs !== undefined && !leaving.signal.aborted && !keyRefused.value) timer = setTimeout(read, everyMs)
    }
    void read()
    return () => {
      leaving.abort()
      clearTimeout(timer)
    }
  }, [path, everyMs, turn, key])

  const current = state.path === path
  return {
    answer: current ? state.answer : undefined,
    error: current ? state.error : undefined,
    loading: path !== '' && (!current || state.loading),
    again,
  }
}
