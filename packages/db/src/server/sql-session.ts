/**
 * An interactive session with Postgres: one connection, whose values arrive as the text that Postgres sends, and whose
 * rows arrive one by one.
 */
import pg from 'pg'
import { checkedDatabaseUrl } from './database-url.js'
import { EXACT_TYPES } from './exact-values.js'

/** A column of a result. */
export interface SqlColumn {
  name: string
  kind: 'number' | 'json' | 'other'
  /** Returns a value as JSON with all digits: numbers that JavaScript would round are strings, `numeric` always. */
  toJson(text: string): string
}

/** A row: values as text, `null` for NULL. */
export type SqlRow = (string | null)[]

/** Receives the results of a statement. */
export interface SqlReceiver {
  /** Called first. */
  columns(columns: SqlColumn[]): void
  /** Until the returned promise resolves, no more is read than has already arrived. */
  row(row: SqlRow): Promise<void> | undefined
}

export interface SqlSession {
  database: string
  /** Whether the server is a standby, which only reads. */
  isStandby: boolean
  /** `I` outside a transaction, `T` inside one, `E` inside a failed one. */
  transaction(): 'I' | 'T' | 'E'
  /** Runs one statement without a time limit. Resolves with the command tag, such as `INSERT 0 1`. Rejects like pg. */
  run(statement: string, receiver: SqlReceiver, values?: readonly string[]): Promise<string>
  /** Cancels the running statement over another connection; the second time, closes our connection. */
  cancel(): Promise<void>
  close(): Promise<void>
}

const AS_TEXT = { getTypeParser: () => (value: string) => value }

/**
 * Opens a session; `onNotice` is called with notices; `setting` names the URL. Rejects if Postgres refuses the
 * connection.
 */
export async function openSqlSession(
  url: string,
  onNotice: (notice: string) => void,
  setting?: string,
): Promise<SqlSession> {
  const settings = {
    connectionString: checkedDatabaseUrl(url, setting),
    application_name: 'eventflow-sql',
    keepAlive: true,
  }
  const client = new pg.Client({ ...settings, connectionTimeoutMillis: 5_000 })
  client.on('error', () => {}) // the statement that runs has it too, or the next one
  client.on('notice', ({ severity, message }) => onNotice(`${severity}: ${message}`))
  await client.connect()
  const { rows } = await client.query('SELECT pg_backend_pid() AS pid, pg_is_in_recovery() AS standby')
  const { stream } = client.connection
  let [cancelled, cancelling] = [false, false]

  return {
    database: client.database ?? '',
    isStandby: rows[0].standby,
    transaction: () => client.getTransactionStatus() as 'I' | 'T' | 'E',
    run(statement, receiver, values = []) {
      cancelled = false
      const config = { text: statement, values: [...values], rowMode: 'array', types: AS_TEXT }
      const query = new pg.Query<SqlRow>(config as unknown as pg.QueryConfig)
      const told = new Set<unknown>()
      const tell = ({ fields }: pg.QueryResult) => {
        if (told.size === 0) receiver.columns(fields.map(columnOf))
        told.add(fields)
      }
      return new Promise((resolve, reject) => {
        query.on('row', (row, result) => {
          if (cancelled) return // what was on its way still comes
          tell(result as unknown as pg.QueryResult)
          const waiting = receiver.row(row)
          if (!waiting) return
          stream.pause()
          void waiting.then(() => cancelling || stream.resume())
        })
        query.on('error', (error) => {
          if (!(error instanceof pg.DatabaseError)) return reject(error)
          // Postgres sends the error first, and then in another packet the state of the transaction.
          const settle = () => {
            client.connection.off('readyForQuery', settle).off('end', settle)
            reject(error)
          }
          client.connection.on('readyForQuery', settle).on('end', settle)
        })
        query.on('end', (result) => {
          const end = [result as unknown as pg.QueryResult].flat().at(-1)!
          if (end.fields.length > 0) tell(end)
          resolve([end.command, end.rowCount].filter((part) => part !== null).join(' '))
        })
        client.query(query)
      })
    },
    async cancel() {
      if (cancelled) stream.destroy()
      cancelled = true
      // A flood of rows would leave the other connection no time to open.
      cancelling = true
      stream.pause()
      const other = new pg.Client({ ...settings, connectionTimeoutMillis: 5_000 })
      other.on('error', () => {})
      try {
        await other.connect()
        await other.query('SELECT pg_cancel_backend($1)', [rows[0].pid])
      } finally {
        cancelling = false
        stream.resume()
        await other.end()
      }
    },
    close: () => client.end(),
  }
}

const { INT2, INT4, INT8, FLOAT4, FLOAT8, NUMERIC, OID, JSON: JSON_TYPE, JSONB, BOOL, TIMESTAMPTZ } = pg.types.builtins
const NUMBERS = new Set<number>([INT2, INT4, INT8, FLOAT4, FLOAT8, NUMERIC, OID])

function columnOf({ name, dataTypeID: type }: pg.FieldDef): SqlColumn {
  const isJson = type === JSON_TYPE || type === JSONB
  return { name, kind: isJson ? 'json' : NUMBERS.has(type) ? 'number' : 'other', toJson: (text) => toJson(type, text) }
}

function toJson(type: number, text: string): string {
  if (type === JSON_TYPE || type === JSONB) return text
  if (type === BOOL) return text === 't' ? 'true' : 'false'
  if (type === TIMESTAMPTZ) return JSON.stringify(text.replace(/^(\S+) (\S+)\+00$/, '$1T$2Z'))
  if (type === NUMERIC) return JSON.stringify(text)
  if (NUMBERS.has(type)) {
    const isKept = Number.isFinite(Number(text)) && (type !== INT8 || Number.isSafeInteger(Number(text)))
    return isKept ? text : JSON.stringify(text)
  }
  // The types of pg declare a different argument than the parser takes.
  const read = EXACT_TYPES.getTypeParser(type) as unknown as (text: string) => unknown
  const value = read(text)
  return JSON.stringify(Array.isArray(value) ? value : text)
}
