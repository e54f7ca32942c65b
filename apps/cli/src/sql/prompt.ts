/** The prompt of `eventflow sql`: statements over several lines, and the most common commands of psql. */
import { readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { endOfStatement, isBlankSql } from '@eventflow/db'
import { COLUMNS, INDEXES, TABLES } from './describe.js'
import type { Runner, SqlOptions } from './runner.js'

/** The most lines of the saved history. */
const HISTORY_LINES = 1_000

const HELP = String.raw`A statement ends with a semicolon. It has no time limit; Ctrl-C cancels it.
\d        tables and views
\d NAME   columns and indexes of a table
\x        one value per line: always, never, or only for rows wider than the terminal
\q        quit (or Ctrl-D)
\?        this help`

/** Reads and runs statements until the input ends. Resolves with exit code 0. */
export async function prompt(
  runner: Runner,
  { input, output, note, historyFile, standby }: SqlOptions,
): Promise<number> {
  const history = readHistory(historyFile)
  const lines = createInterface({ input, output, history, historySize: HISTORY_LINES, terminal: input.isTTY === true })
  lines.on('history', (known) => keepHistory(historyFile, known))
  const { database, isStandby } = runner.session
  const server = isStandby ? ' (standby)' : standby === undefined ? '' : ' (primary)'
  let text = ''
  const ask = () => {
    const state = { I: '=', T: '=*', E: '=!' }[runner.session.transaction()]
    lines.setPrompt(`${database}${server}${isBlankSql(text) ? state : '-'}> `)
    lines.prompt()
  }
  lines.on('SIGINT', () => {
    if (runner.interrupt()) return
    text = ''
    lines.write(null, { ctrl: true, name: 'e' })
    lines.write(null, { ctrl: true, name: 'u' })
    ask()
  })
  note(String.raw`Statements end with a semicolon; \? shows help.`)
  ask()
  for await (const line of lines) {
    if (line.startsWith('\\') && isBlankSql(text)) {
      if (/^\\q\s*$/.test(line)) break
      await command(line.trim(), runner, note)
    } else {
      text += `${line}\n`
      for (let end = endOfStatement(text); end !== undefined; end = endOfStatement(text)) {
        const statement = text.slice(0, end)
        text = text.slice(end)
        if (!isBlankSql(statement)) await runner.run(statement.trim())
      }
      if (isBlankSql(text)) text = ''
    }
    ask()
  }
  lines.close()
  return 0
}

/** Runs a line that begins with a backslash. Resolves with false if it failed. */
export async function command(line: string, runner: Runner, note: (text: string) => void): Promise<boolean> {
  const [name, ...words] = line.split(/\s+/)
  if (name === '\\d' && words.length === 0) return runner.run(TABLES)
  if (name === '\\d' && words.length === 1) {
    const [table] = words as [string]
    return (await runner.run(COLUMNS, [table])) && (await runner.run(INDEXES, [table]))
  }
  if (name === '\\?') note(HELP)
  else if (name === '\\x') {
    runner.isExpanded = runner.isExpanded === 'auto' ? true : runner.isExpanded ? false : 'auto'
    note(
      `One value per line: ${{ true: 'always', false: 'never', auto: 'only for wide rows' }[`${runner.isExpanded}`]}.`,
    )
  } else {
    note(String.raw`Unknown command ${name}; \? shows help.`)
    return false
  }
  return true
}

/** The last line first, as readline expects it. */
function readHistory(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').split('\n').filter(Boolean).slice(-HISTORY_LINES).reverse()
  } catch {
    return []
  }
}

/** Only readable for its owner, because statements contain values. The prompt also works without a history. */
function keepHistory(file: string, known: readonly string[]): void {
  try {
    writeFileSync(
      file,
      known
        .toReversed()
        .map((line) => `${line}\n`)
        .join(''),
      { mode: 0o600 },
    )
  } catch {}
}
