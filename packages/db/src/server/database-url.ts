/**
 * What `DATABASE_URL` may say. The driver lets any parameter of it override what the pipeline sets on a connection, and the pipeline
 * relies on that: workers look for the transactions of ingest by `application_name`, and the watermark trails by more than the
 * `statement_timeout`.
 */

/** Where the server is, who connects, and how the connection is encrypted. */
const ALLOWED = new Set([
  ...['host', 'port', 'user', 'password', 'database', 'ssl', 'sslmode', 'sslcert', 'sslkey', 'sslrootcert'],
  ...['sslnegotiation', 'uselibpqcompat'],
])

/** The URL as it is. Throws an error that names the parameters which are not allowed in it. */
export function checkedDatabaseUrl(url: string): string {
  const query = url.indexOf('?')
  const names = query < 0 ? [] : [...new URLSearchParams(url.slice(query + 1)).keys()]
  const refused = [...new Set(names)].filter((name) => !ALLOWED.has(name))
  if (refused.length === 0) return url
  throw new Error(
    `DATABASE_URL must not set ${refused.join(', ')}: EventFlow sets its connections up itself. ` +
      `Allowed parameters are ${[...ALLOWED].join(', ')}.`,
  )
}
