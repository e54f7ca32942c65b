/** `eventflow sql`: a SQL client like psql, for machines without psql. */
import { endOfStatement, isBlankSql, openSqlSession, type SqlSession } from '@eventflow/db'
import { unreachable } from '../ask-postgres.js'
import type { Print } from '../table.js'
import { command, prompt } from './prompt.js'
import { createRunner, type Runner, type SqlOptions } from './runner.js'

/**
 * Resolves with the exit code: 0, 1 if a statement failed, 130 if it was stopped. Rejects with UnreachableError if
 * Postgres refuses the connection.
 */
export async function sql(url: string, options: SqlOptions): Promise<number> {
  const { statement, input, note } = options
  const session = await openSession(url, options)
  const runner = createRunner(session, options)
  const isPrompt = statement === undefined && input.isTTY === true
  let stopped = false
  options.onInterrupt(() => {
    if (runner.interrupt() || isPrompt) return
    // It is waiting for input.
    stopped = true
    input.destroy()
  })
  try {
    if (isPrompt) return await prompt(runner, options)
    const isWell = await runAll(runner, statement === undefined ? input : [statement], note)
    return runner.wasCancelled ? 130 : isWell ? 0 : 1
  } catch (error) {
    if (stopped) return 130
    throw unreachable(url, error) ?? error
  } finally {
    await session.close()
  }
}

/** Opens a session on the standby if there is one and it answers, otherwise on the primary. */
async function openSession(url: string, { standby, onPrimary, note }: SqlOptions): Promise<SqlSession> {
  if (standby !== undefined && !onPrimary) {
    try {
      return await openSqlSession(standby, note, 'DATABASE_REPLICA_URL')
    } catch (error) {
      const reason = unreachable(standby, error)
      if (!reason) throw error
      note(`The standby cannot be used, so this is the primary. ${reason.message.split('\n')[0]}`)
    }
  }
  return openSqlSession(url, note).catch((error) => {
    throw unreachable(url, error) ?? error
  })
}

/** A line between statements that is a command of the prompt. */
const COMMAND_LINE = /^\s*(\\[^\n]*)\n/

/**
 * Runs the statements of a text, which may arrive in pieces, and the commands between them, up to the first failure.
 */
async function runAll(
  runner: Runner,
  text: AsyncIterable<Buffer | string> | Iterable<string>,
  note: Print,
): Promise<boolean> {
  const utf8 = new TextDecoder('utf-8')
  let rest = ''
  for await (const piece of text) {
    rest += typeof piece === 'string' ? piece : utf8.decode(piece, { stream: true })
    for (;;) {
      const [all, line] = COMMAND_LINE.exec(rest) ?? []
      const end = all?.length ?? endOfStatement(rest)
      if (end === undefined) break
      const statement = rest.slice(0, end)
      const isWell = line ? await command(line.trim(), runner, note) : await runStatement(runner, statement)
      if (!isWell) return false
      rest = rest.slice(end)
    }
  }
  return rest.trimStart().startsWith('\\') ? command(rest.trim(), runner, note) : runStatement(runner, rest)
}

async function runStatement(runner: Runner, text: string): Promise<boolean> {
  return isBlankSql(text) || runner.run(text.trim())
}
