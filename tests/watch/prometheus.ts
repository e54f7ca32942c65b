/** Queries of a Prometheus for the tests. */

/** A series, and its values over time; one value if a single time was requested. */
export interface Series {
  metric: Record<string, string>
  values: number[]
}

export interface Rule {
  name: string
  type: 'recording' | 'alerting'
  query: string
  health: string
  lastError?: string
}

/** Queries one Prometheus. Throws with its message if the query is invalid. */
export function createQueries(url: string) {
  async function ask<Data>(path: string, parameters: Record<string, string> = {}): Promise<Data> {
    const response = await fetch(`${url}/api/v1/${path}?${new URLSearchParams(parameters)}`)
    const { status, error, data } = (await response.json()) as { status: string; error?: string; data: Data }
    if (status !== 'success') throw new Error(`${JSON.stringify(parameters)}: ${error}`)
    return data
  }

  return {
    /** The present values of an expression. */
    async now(query: string): Promise<Series[]> {
      const { result } = await ask<{ result: { metric: Series['metric']; value: [number, string] }[] }>('query', {
        query,
      })
      return result.map(({ metric, value }) => ({ metric, values: [Number(value[1])] }))
    },
    /** Its values since a time in seconds, one for each second. */
    async since(start: number, query: string): Promise<Series[]> {
      const { result } = await ask<{ result: { metric: Series['metric']; values: [number, string][] }[] }>(
        'query_range',
        {
          query,
          start: `${start}`,
          end: `${Date.now() / 1_000}`,
          step: '1',
        },
      )
      return result.map(({ metric, values }) => ({ metric, values: values.map(([, value]) => Number(value)) }))
    },
    async targets() {
      const { activeTargets } = await ask<{
        activeTargets: { scrapeUrl: string; health: string; lastError: string }[]
      }>('targets')
      return activeTargets
    },
    async rules(): Promise<Rule[]> {
      return (await ask<{ groups: { rules: Rule[] }[] }>('rules')).groups.flatMap(({ rules }) => rules)
    },
  }
}
