/** What `up` says when everything is ready: what is where, and what to do next. */

/** Where everything is. */
export interface Places {
  http: string
  workerPorts: number[]
  /** How to open a shell on them. */
  postgres: string
  redis: string
  data: string[]
  events: string
}

/** The block of text, ready to be printed. */
export function welcome({ http, workerPorts, postgres, redis, data, events }: Places): string {
  const producer = `npm run producer -- --file flights --wait${http.endsWith(':8000') ? '' : ` --url ${http}`}`
  return `EventFlow is up.

  HTTP      ${http}
  Docs      ${http}/docs
  Health    ${http}/health
  Metrics   ${http}/metrics, workers on port ${workerPorts.join(', ')}
  Postgres  ${postgres}
  Redis     ${redis}
  Events    defined in ${events}
  Data      ${data.join(', ')}

Send an event, from a second terminal:

  curl -i ${http}/v1/events -H 'content-type: application/json' -d '${JSON.stringify(EXAMPLE)}'

Or twenty thousand:

  ${producer}

Ctrl-C stops everything. The data stays, and the next start finds it.`
}

/** A row of the sample. */
const EXAMPLE = {
  type: 'flight.completed',
  partitionkey: 'DTW',
  time: '2001-01-01T00:47:00Z',
  data: { date: '2001/01/01 00:47', delay: 66, distance: 1750, origin: 'DTW', destination: 'LAS' },
}
