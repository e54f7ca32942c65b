/** Formats errors of statements for people. */

/**
 * Returns SQLSTATE, message, the line with a mark below the place, detail and hint; for any other error, its message.
 */
export function describeSqlError(error: Error & { [name: string]: unknown }, statement: string): string {
  const { severity = 'ERROR', code, message, position, detail, hint, where } = error
  const more = (name: string, value: unknown) => (typeof value === 'string' ? [`${name}: ${value}`] : [])
  return [
    `${severity} ${code ?? ''}`.trim().concat(`: ${message}`),
    ...(typeof position === 'string' ? placeOf(statement, Number(position)) : []),
    ...more('DETAIL', detail),
    ...more('HINT', hint),
    ...more('CONTEXT', where),
  ].join('\n')
}

/**
 * Returns the line of a statement with the character at `position`, counted from 1 as Postgres does, and a mark below
 * it.
 */
function placeOf(statement: string, position: number): string[] {
  const before = [...statement].slice(0, position - 1).join('')
  const lines = before.split('\n')
  const name = `LINE ${lines.length}: `
  const line = statement.split('\n')[lines.length - 1]!
  const spaces = [...lines.at(-1)!].map((character) => (character === '\t' ? '\t' : ' ')).join('')
  return [name + line, `${' '.repeat(name.length)}${spaces}^`]
}
