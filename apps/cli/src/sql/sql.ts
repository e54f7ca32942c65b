/** `eventflow sql`: asks the database as psql does, for machines without it. */
import type { Readable, Writable } from 'node:stream'
import { endOfStatement, isBlankSql, isConnectionLoss, openSqlSession, type SqlSession } from '@eventflow/db'
import { unreachable } from '../ask-postgres.js'
import type { Print } from '../table.js'
import { command, prompt } from './prompt.js'
import { pagedSink, type Sink, streamSink } from './sink.js'
import { describeSqlError } from './sql-error.js'
import { csvWriter, jsonWriter, type ResultWriter, tableWriter } from './write-result.js'

export type Terminal = Writable & { isTTY?: boolean; columns?: number; rows?: number }

export interface SqlOptions {
  /** What is run; without it, what comes in by `input`, or what is typed there. */
  statement?: string | undefined
  format: 'table' | 'json' | 'csv'
  input: Readable & { isTTY?: boolean }
  output: Terminal
  note: Print
  /** A command of the shell; missing where nothing is paged. */
  pager?: string | undefined
  env: NodeJS.ProcessEnv
  historyFile: string
  /** Has `listener` called at each Ctrl-C, and when the output is read no more. */
  onInterrupt: (listener: () => void) => void
}

/** Runs statements one after the other. */
export interface Runner {
  session: SqlSession
  /** Whether values are shown one a line. */
  isExpanded: boolean | 'auto'
  /**
   * Prints what a statement answers, or what is wrong with it. Gives whether it went well. Throws when the connection
   * is lost.
   */
  run(statement: string, values?: readonly string[]): Promise<boolean>
  /** Cancels what runs. Gives whether something did. */
  interrupt(): boolean
  /** Whether the last statement was to be cancelled. */
  readonly wasCancelled: boolean
}

/**
 * Gives the exit code: 0, 1 when a statement failed, 130 when it was stopped. Throws UnreachableError when Postgres
 * does not let us in.
 */
export async function sql(url: string, options: SqlOptions): Promise<number> {
  const { statement, input, note } = options
  const session = await openSqlSession(url, note).catch((error) => {
    throw unreachable(url, error) ?? error
  })
  const runner = createRunner(session, options)
  const isPrompt = statement === undefined && input.isTTY === true
  let stopped = false
  options.onInterrupt(() => {
    if (runner.interrupt() || isPrompt) return
    // It waits for what comes in.
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

/** A line between statements that is a command of the prompt. */
const COMMAND_LINE = /^\s*(\\[^\n]*)\n/

/** Runs the statements of a text, which may come in pieces, and the commands between them, up to the first that fails. */
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

function createRunner(session: SqlSession, { format, output, pager, env, note }: SqlOptions): Runner {
  let [running, wasCancelled] = [false, false]
  const cancel = () => {
    wasCancelled = true
    session.cancel().catch((error) => note(`The statement could not be cancelled: ${(error as Error).message}`))
  }
  const runner: Runner = {
    session,
    isExpanded: 'auto',
    async run(statement, values) {
      const { columns = 80, rows = 24 } = output
      const onQuit = () => running && cancel()
      const sink = pager && output.isTTY ? pagedSink(output, { pager, rows, env, onQuit }) : streamSink(output)
      const width = output.isTTY ? columns : Number.POSITIVE_INFINITY
      const writer = writerOf(format, sink, { width, isExpanded: runner.isExpanded, isTerminal: output.isTTY === true })
      running = true
      wasCancelled = false
      try {
        writer.end(await session.run(statement, writer, values))
        return true
      } catch (error) {
        if (isConnectionLoss(error)) throw error
        note(describeSqlError(error as never, statement))
        return false
      } finally {
        running = false
        await sink.end()
      }
    },
    interrupt() {
      if (running) cancel()
      return running
    },
    get wasCancelled() {
      return wasCancelled
    },
  }
  return runner
}

function writerOf(
  format: SqlOptions['format'],
  sink: Sink,
  { isTerminal, ...layout }: { width: number; isExpanded: boolean | 'auto'; isTerminal: boolean },
): ResultWriter {
  if (format === 'json') return jsonWriter(sink)
  return format === 'csv' ? csvWriter(sink, isTerminal) : tableWriter(sink, layout)
}
