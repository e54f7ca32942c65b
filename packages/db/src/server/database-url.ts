/**
 * The allowed parameters of `DATABASE_URL`. The driver lets the URL override any setting of a connection, but the
 * pipeline relies on its settings: workers find the transactions of ingest by `application_name`, and final seqs lag
 * behind by more than the `statement_timeout`.
 */

/** Where the server is, who connects, and how the connection is encrypted. */
const ALLOWED = new Set([
  ...['host', 'port', 'user', 'password', 'database', 'ssl', 'sslmode', 'sslcert', 'sslkey', 'sslrootcert'],
  ...['sslnegotiation', 'uselibpqcompat'],
])

/**
 * Returns the URL unchanged. Throws an error that names its parameters that are not allowed; `setting` names the URL.
 */
export function checkedDatabaseUrl(url: string, setting = 'DATABASE_URL'): string {
  const query = url.indexOf('?')
  const names = query < 0 ? [] : [...new URLSearchParams(url.slice(query + 1)).keys()]
  const refused = [...new Set(names)].filter((name) => !ALLOWED.has(name))
  if (refused.length === 0) return url
  throw new Error(
    `${setting} must not set ${refused.join(', ')}: EventFlow sets these parameters itself. ` +
      `Allowed parameters are ${[...ALLOWED].join(', ')}.`,
  )
}
