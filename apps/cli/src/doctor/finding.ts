/** What the doctor has found. */

/** Something that was looked at. Whatever is not fine comes with what to do. */
export type Finding = { check: string; level: 'ok'; message: string } | ({ check: string } & Problem)

/** What is wrong. An error breaks a promise or keeps events from flowing; a warning may, or will. */
export interface Problem {
  level: 'warning' | 'error'
  message: string
  /** One line to copy, or to act upon. */
  fix: string
}

/** The problems of a check, or that all is well with it. */
export function findings(check: string, ok: string, problems: readonly (Problem | undefined | false)[]): Finding[] {
  const found = problems.filter((problem) => problem !== undefined && problem !== false)
  return found.length > 0 ? found.map((problem) => ({ check, ...problem })) : [{ check, level: 'ok', message: ok }]
}

export const warning = (message: string, fix: string): Problem => ({ level: 'warning', message, fix })
export const error = (message: string, fix: string): Problem => ({ level: 'error', message, fix })

/** The commands that open a shell on the databases, to be completed to the line that mends something. */
export interface Shells {
  psql: string
  redisCli: string
}

/** The line that runs these statements, each in a transaction of its own: some of them cannot share one. */
export function runSql({ psql }: Shells, ...statements: string[]): string {
  return [psql, ...statements.map((statement) => `-c "${statement.replaceAll(/["$`\\]/g, '\\$&')}"`)].join(' ')
}
