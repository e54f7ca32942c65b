/** Runs the statements of `eventflow sql` one after the other, and prints what they answer. */
import type { Readable, Writable } from 'node:stream'
import { isConnectionLoss, type SqlSession } from '@eventflow/db'
import type { Print } from '../table.js'
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

/** A runner on a session. */
export function createRunner(session: SqlSession, { format, output, pager, env, note }: SqlOptions): Runner {
  let [running, wasCancelled] = [false, false]
  const cancel = () => {
    wasCancelled = true
    session.cancel().catch((error) => note(`It could not be cancelled: ${(error as Error).message}`))
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
