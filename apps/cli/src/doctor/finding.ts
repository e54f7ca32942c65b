/** The findings of the doctor. */

/** The result of a check. Every result except `ok` has a fix. */
export type Finding = { check: string; level: 'ok'; message: string } | ({ check: string } & Problem)

/** A problem. An error breaks a promise or stops events; a warning may do so later. */
export interface Problem {
  level: 'warning' | 'error'
  message: string
  /** One line to copy or to act on. */
  fix: string
}

/** Returns the problems of a check, or `ok` if there are none. */
export function findings(check: string, ok: string, problems: readonly (Problem | undefined | false)[]): Finding[] {
  const found = problems.filter((problem) => problem !== undefined && problem !== false)
  return found.length > 0 ? found.map((problem) => ({ check, ...problem })) : [{ check, level: 'ok', message: ok }]
}

export const warning = (message: string, fix: string): Problem => ({ level: 'warning', message, fix })
export const error = (message: string, fix: string): Problem => ({ level: 'error', message, fix })

/** The commands that open a shell on the databases, which fixes extend. */
export interface Shells {
  psql: string
  redisCli: string
}

/** Returns a command that runs these statements, each in a separate transaction: some of them cannot share one. */
export function runSql({ psql }: Shells, ...statements: string[]): string {
  return [psql, ...statements.map((statement) => `-c "${statement.replaceAll(/["$`\\]/g, '\\$&')}"`)].join(' ')
}
