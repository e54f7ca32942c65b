/** The message of `up` when everything is ready: the addresses, and what to do next. */
import { relative } from 'node:path'
import type { Database } from './databases.js'

/** The addresses. */
export interface Places {
  /** Whether requests need an API key. */
  locked: boolean
  port: number
  workerPorts: number[]
  postgres: Database
  redis: Database
  dataDir: string
  events: string
}

/** An event of the samples. */
const EXAMPLE = {
  type: 'flight.completed',
  partitionkey: 'DTW',
  time: '2001-01-01T00:47:00Z',
  data: { date: '2001/01/01 00:47', delay: 66, distance: 1750, origin: 'DTW', destination: 'LAS' },
}

const OPEN = `No API key is needed, since only this machine can reach the port. Everywhere else one is.

`

/**
 * Returns the message. It is for the user who started `up`, so the address of our own Postgres contains its password.
 */
export function welcome({ locked, port, workerPorts, postgres, redis, dataDir, events }: Places): string {
  const http = `http://127.0.0.1:${port}`
  const elsewhere = Object.entries({ Postgres: postgres.dir, Redis: redis.dir })
    .filter(([, dir]) => dir && relative(dataDir, dir).startsWith('..'))
    .map(([name, dir]) => `, ${name}: ${dir}`)
    .join('')
  return `EventFlow is up.

  Console   ${http}
  HTTP      ${http}/v1
  Docs      ${http}/docs
  Health    ${http}/health
  Metrics   ${http}/metrics (the workers have theirs on port ${workerPorts.join(', ')})
  Postgres  ${postgres.dir ? `psql ${postgres.url}` : postgres.shell}
  Redis     ${redis.shell}
  Events    ${events}
  Data      ${dataDir}${elsewhere}

Send an event, from a second terminal:

  curl -i ${http}/v1/events -H 'content-type: application/json' -d '${JSON.stringify(EXAMPLE)}'

Or twenty thousand:

  npm run producer -- --file flights --wait${port === 8000 ? '' : ` --url ${http}`}

${locked ? '' : OPEN}Ctrl-C stops everything. The data stays, and the next start finds it.`
}
