/** What `up` prints when everything is ready: the addresses, and what to do next. */
import { relative } from 'node:path'
import { isCheckout } from './checkout.js'
import type { Database } from './databases.js'
import { FLIGHT } from './example-event.js'

/** The addresses and folders of a running stack. */
export interface Places {
  /** Whether requests need an API key. */
  locked: boolean
  /** An event that the pipeline knows. */
  example: object
  port: number
  workerPorts: number[]
  postgres: Database
  standby: Database | undefined
  redis: Database
  dataDir: string
  events: string
}

const shellOf = ({ url, shell, dir }: Database) => (dir ? `psql ${url}` : shell)

const OPEN = `No API key is needed: only this machine can reach the port.

`

const manyFlights = (options: string) => `Send twenty thousand:

  npm run producer -- --file flights --wait${options}

`

/** The text to print. The address of a Postgres that we started is complete, with its password. */
export function welcome({
  locked,
  example,
  port,
  workerPorts,
  postgres,
  standby,
  redis,
  dataDir,
  events,
}: Places): string {
  const http = `http://127.0.0.1:${port}`
  const elsewhere = Object.entries({ Postgres: postgres.dir, Standby: standby?.dir, Redis: redis.dir })
    .filter(([, dir]) => dir && relative(dataDir, dir).startsWith('..'))
    .map(([name, dir]) => `, ${name}: ${dir}`)
    .join('')
  return `EventFlow is up.

  Console   ${http}
  HTTP      ${http}/v1
  Docs      ${http}/docs
  Health    ${http}/health
  Metrics   ${http}/metrics (workers: port ${workerPorts.join(', ')})
  Postgres  ${shellOf(postgres)}
${standby ? `  Standby   ${shellOf(standby)}\n` : ''}  Redis     ${redis.shell}
  Events    ${events}
  Data      ${dataDir}${elsewhere}

Send an event from a second terminal:

  curl -i ${http}/v1/events -H 'content-type: application/json' -d '${JSON.stringify(example).replaceAll("'", `'\\''`)}'

${example === FLIGHT && isCheckout() ? manyFlights(port === 8000 ? '' : ` --url ${http}`) : ''}${locked ? '' : OPEN}Ctrl-C stops everything. The data is kept for the next start.`
}
