/** The SQL client: formats of values, destinations, exit codes, and the prompt. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { connect, type Db } from '@eventflow/db'
import { createDatabase, until } from '@eventflow/testkit'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { indented } from './layout.js'
import type { SqlOptions, Terminal } from './runner.js'
import { sql } from './sql.js'

const MAIN = join(import.meta.dirname, '../main.js')

let dir: string
let databaseUrl: string
let db: Db

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'eventflow-sql-'))
  databaseUrl = await createDatabase()
  db = connect({ url: databaseUrl, applicationName: 'test', max: 1, onIdleError: () => {} })
})

afterAll(async () => {
  await db.end()
  await rm(dir, { recursive: true, force: true })
})

/** Runs the client with these streams. Resolves with its output, its notes and its exit code. */
async function ask(given: Partial<SqlOptions> & { columns?: number; rows?: number }) {
  const output: Terminal = new PassThrough()
  if (given.columns) Object.assign(output, { isTTY: true, columns: given.columns, rows: given.rows ?? 1_000 })
  const printed = text(output as PassThrough)
  const notes: string[] = []
  const code = await sql(databaseUrl, {
    format: 'table',
    input: Readable.from([]),
    output,
    note: (note) => notes.push(note),
    env: { PATH: process.env.PATH },
    historyFile: join(dir, 'history'),
    onInterrupt: () => {},
    ...given,
  })
  output.end()
  return { printed: await printed, notes: notes.join('\n'), code }
}

const VALUES = `SELECT 9007199254740993 AS big, 1.10::numeric AS exact, NULL AS none, '' AS empty,
  '{"n": 1.10, "a": [9007199254740993, {"b": "[,"}], "o": {}}'::jsonb AS json, E'a\nb\u001b[2J' AS text, '漢字' AS wide, true AS yes`

test('a table is aligned, shows NULL, and keeps numbers and JSON unchanged', async () => {
  expect((await ask({ statement: VALUES })).printed).toBe(
    String.raw` big              | exact | none   | empty | json                                                       | text          | wide | yes
------------------+-------+--------+-------+------------------------------------------------------------+---------------+------+-----
 9007199254740993 |  1.10 | (null) |       | {"a": [9007199254740993, {"b": "[,"}], "n": 1.10, "o": {}} | a\nb\u001b[2J | 漢字 | t
(1 row)
`,
  )
})

test('on a terminal, a wider row has one value a line', async () => {
  const { printed } = await ask({ statement: VALUES, columns: 60 })
  expect(printed).toBe(String.raw`-[ RECORD 1 ]----------------------
big   | 9007199254740993
exact | 1.10
none  | (null)
empty |
json  | {
      |   "a": [
      |     9007199254740993,
      |     {
      |       "b": "[,"
      |     }
      |   ],
      |   "n": 1.10,
      |   "o": {}
      | }
text  | a
      | b\u001b[2J
wide  | 漢字
yes   | t
(1 row)
`)
  expect(Math.max(...printed.split('\n').map((line) => line.length))).toBeLessThanOrEqual(60)
  expect(indented('{"a\\"{":[1,{}],"b":1.10}')).toBe('{\n  "a\\"{": [\n    1,\n    {}\n  ],\n  "b": 1.10\n}')
})

test('as JSON and as CSV', async () => {
  const json = await ask({
    statement: `${VALUES}; SELECT ARRAY[1,2] AS list, 7::bigint AS n; SELECT 1 AS none WHERE false`,
    format: 'json',
  })
  const [values, list, none] = json.printed.trimEnd().split('\n')
  expect(values).toContain('"json":{"a": [9007199254740993, {"b": "[,"}], "n": 1.10, "o": {}}')
  expect(JSON.parse(values!)).toMatchObject([
    { big: '9007199254740993', exact: '1.10', none: null, empty: '', text: 'a\nb\x1b[2J', yes: true },
  ])
  expect([list, none]).toEqual(['[{"list":[1,2],"n":7}]', '[]'])
  const csv = await ask({ statement: VALUES, format: 'csv' })
  expect(csv.printed).toBe(
    'big,exact,none,empty,json,text,wide,yes\n9007199254740993,1.10,,"","{""a"": [9007199254740993, {""b"": ""[,""}], ""n"": 1.10, ""o"": {}}","a\nb\x1b[2J",漢字,t\n',
  )
  expect((await ask({ statement: VALUES, format: 'csv', columns: 80 })).printed).toContain('"a\nb\\u001b[2J"')
})

test('an error has its place, code and hint; later statements do not run', async () => {
  const wrong = await ask({ statement: 'SELECT 1 AS one;\nSELECT *\n  FROM evnts; SELECT 2 AS two' })
  expect(wrong).toMatchObject({
    code: 1,
    notes: 'ERROR 42P01: relation "evnts" does not exist\nLINE 2:   FROM evnts;\n               ^',
  })
  expect(wrong.printed).toContain('one')
  expect(wrong.printed).not.toContain('two')
  expect((await ask({ statement: 'SELECT lenght(1)' })).notes).toMatch(/^ERROR 42883: [\s\S]*\nHINT: /)
})

test('large results are printed as they are read; results longer than the screen go to the pager', async () => {
  const statement = `SELECT n, repeat('x', 10) AS x FROM generate_series(1, 20000) n`
  expect((await ask({ statement })).printed.split('\n')).toHaveLength(20_004)
  const file = join(dir, 'paged')
  const paged = await ask({ statement, columns: 80, rows: 24, pager: `cat > ${file}` })
  expect(paged).toMatchObject({ printed: '', code: 0 })
  expect((await readFile(file, 'utf8')).split('\n')).toHaveLength(20_004)
  // A reader who quits ends the statement, no matter how many rows it has.
  const endless = 'SELECT generate_series(1, 1000000000000) AS n'
  expect(await ask({ statement: endless, columns: 80, rows: 24, pager: 'head -1 > /dev/null' })).toMatchObject({
    code: 130,
  })
})

test('statements can come from a pipe; Ctrl-C cancels the running one', async () => {
  const child = spawn(process.execPath, [MAIN, 'sql'], {
    env: { PATH: process.env.PATH, HOME: dir, DATABASE_URL: databaseUrl },
  })
  child.stdin.end(`CREATE FUNCTION f() RETURNS text AS $$ SELECT ';' $$ LANGUAGE sql;
    CREATE FUNCTION g() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
    -- ; nothing
    SELECT f(), g(); SELECT pg_sleep(600)`)
  const [stdout, stderr] = [text(child.stdout), text(child.stderr)]
  await until('the last one runs', async () => {
    const { rows } = await db.query(
      `SELECT FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(600)'`,
    )
    return rows.length === 1
  })
  child.kill('SIGINT')
  expect(await once(child, 'close')).toEqual([130, null])
  expect(await stderr).toMatch(/^ERROR 57014: /)
  expect(await stdout).toBe('CREATE\nCREATE\n f | g\n---+---\n ; | 2\n(1 row)\n')
})

test('a line with a backslash is a command in a pipe and as an argument, too', async () => {
  await db.query('CREATE TABLE piped (n integer PRIMARY KEY)')
  const piped = await ask({ input: Readable.from(['SELECT 1 AS one;\n\\d pi', 'ped\nSELECT 2 AS two;\n\\d']) })
  expect(piped.code).toBe(0)
  for (const part of ['one', 'piped_pkey', 'two']) expect(piped.printed).toContain(part)
  expect(await ask({ statement: String.raw`\d piped` })).toMatchObject({
    code: 0,
    printed: expect.stringContaining('piped_pkey'),
  })
  expect(await ask({ statement: String.raw`\nonsense` })).toMatchObject({ code: 1 })
})

test('the prompt has statements over several lines, tables and columns, and a history that only its owner can read', async () => {
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode() {} })
  const output = Object.assign(new PassThrough(), { isTTY: true, columns: 100, rows: 100 }) as Terminal & PassThrough
  const notes: string[] = []
  const historyFile = join(dir, 'typed')
  let screen = ''
  output.on('data', (more) => {
    screen += more
  })
  const env = { PATH: process.env.PATH }
  const ended = sql(databaseUrl, {
    format: 'table',
    input,
    output,
    note: (note) => notes.push(note),
    env,
    historyFile,
    onInterrupt: () => {},
  })
  const type = async (line: string, answer: string) => {
    screen = ''
    input.write(`${line}\n`)
    await until(`${line} is answered`, async () => (screen + notes.join('\n')).includes(answer))
  }
  const name = new URL(databaseUrl).pathname.slice(1)
  await until('it asks', async () => screen.includes(`${name}=> `))
  await type('SELECT', `${name}-> `)
  await type("'two lines' AS x;", ' two lines\r\n(1 row)'.replace('\r', ''))
  await type('BEGIN;', `${name}=*> `)
  await type('SELECT oops;', `${name}=!> `)
  expect(notes.at(-1)).toMatch(/^ERROR 42703: /)
  await type('ROLLBACK;', `${name}=> `)
  await type('\\d', 'raw_events')
  await type('\\d failed_events', 'failed_events_pkey')
  await type('\\x', 'always')
  await type('SELECT 1 AS one;', 'one | 1')
  await type('\\?', '\\d NAME')
  await type('\\nonsense', 'Unknown command \\nonsense')
  await type('SELECT pg_sleep(600);', '')
  await until('it runs', async () => {
    const { rows } = await db.query(
      `SELECT FROM pg_stat_activity WHERE state = 'active' AND query = 'SELECT pg_sleep(600);'`,
    )
    return rows.length === 1
  })
  input.write('\x03')
  await until('it is cancelled', async () => notes.at(-1)!.startsWith('ERROR 57014'))
  input.write('half a line\x03')
  input.write('\\q\n')
  expect(await ended).toBe(0)
  expect((await readFile(historyFile, 'utf8')).split('\n').slice(0, 3)).toEqual([
    'SELECT',
    "'two lines' AS x;",
    'BEGIN;',
  ])
  expect((await stat(historyFile)).mode & 0o777).toBe(0o600)
})
