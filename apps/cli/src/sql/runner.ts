/** Runs the statements of `eventflow sql` one after another, and prints their results. */
import type { Readable, Writable } from 'node:stream'
import { isConnectionLoss, type SqlSession } from '@eventflow/db'
import type { Print } from '../table.js'
import { pagedSink, type Sink, streamSink } from './sink.js'
import { describeSqlError } from './sql-error.js'
import { csvWriter, jsonWriter, type ResultWriter, tableWriter } from './write-result.js'

export type Terminal = Writable & { isTTY?: boolean; columns?: number; rows?: number }

export interface SqlOptions {
  /** The statement to run; if undefined, they come from `input` or are typed there. */
  statement?: string | undefined
  /** The standby, which is used if it answers. */
  standby?: string | undefined
  /** Uses the primary also if there is a standby. */
  onPrimary?: boolean
  format: 'table' | 'json' | 'csv'
  input: Readable & { isTTY?: boolean }
  output: Terminal
  note: Print
  /** A shell command; undefined if there is no paging. */
  pager?: string | undefined
  env: NodeJS.ProcessEnv
  historyFile: string
  /** Registers `listener` for Ctrl-C and for the end of the output. */
  onInterrupt: (listener: () => void) => void
}

/** Runs statements one after another. */
export interface Runner {
  session: SqlSession
  /** Whether values are shown one a line. */
  isExpanded: boolean | 'auto'
  /**
   * Prints the result of a statement, or its error. Resolves with false if it failed. Rejects if the connection is
   * lost.
   */
  run(statement: string, values?: readonly string[]): Promise<boolean>
  /** Cancels the running statement. Returns whether one was running. */
  interrupt(): boolean
  /** Whether the last statement was cancelled. */
  readonly wasCancelled: boolean
}

/** SQLSTATEs of a standby: it may not write; replay needed what the statement was using. */
const ON_PRIMARY = new Set(['25006', '40001'])

const HINT = 'HINT: this is the standby; with --primary it runs on the primary'

/** Creates a runner on a session. */
export function createRunner(session: SqlSession, { format, output, pager, env, note }: SqlOptions): Runner {
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
        if (session.isStandby && ON_PRIMARY.has((error as { code?: string }).code ?? '')) note(HINT)
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
