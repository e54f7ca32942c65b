/** Which SQL texts handlers may not run: decided by the first words of each statement. */
import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { changesSettings, refusalOf } from './statements-in.js'

describe('is refused', () => {
  test.each([
    ['ROLLBACK', 'ROLLBACK'],
    ['  rollback ', 'ROLLBACK'],
    ['ROLLBACK; BEGIN', 'ROLLBACK'],
    ['-- a comment\nCommit', 'COMMIT'],
    ['/* a /* nested */ comment */ END', 'END'],
    ["SELECT ';' ; ABORT", 'ABORT'],
    [`SELECT "a;b", $$ ; $$, $x$ $$ $x$; BEGIN`, 'BEGIN'],
    ["SELECT E'\\';' ; START TRANSACTION", 'START'],
    ['ROLLBACK AND CHAIN', 'ROLLBACK'],
    ["PREPARE TRANSACTION 'x'", 'PREPARE TRANSACTION'],
    ["COMMIT PREPARED 'x'", 'COMMIT'],
    ['SET TRANSACTION READ ONLY', 'SET TRANSACTION'],
    ['SET LOCAL transaction_read_only = on', 'SET TRANSACTION'],
    ['SET search_path = x', 'SET'],
    ['SET SESSION AUTHORIZATION x', 'SET'],
    ['RESET ALL', 'RESET'],
    ['DISCARD ALL', 'DISCARD'],
    ['LISTEN x', 'LISTEN'],
    ['PREPARE x AS SELECT 1', 'PREPARE'],
    ['DEALLOCATE ALL', 'DEALLOCATE'],
    ['CREATE TEMP TABLE x (n int)', 'CREATE TEMPORARY'],
    ['SELECT 1 INTO TEMPORARY x', 'INTO TEMPORARY'],
    ['DECLARE x CURSOR WITH HOLD FOR SELECT 1', 'DECLARE'],
    ['SELECT pg_advisory_lock(1)', 'an advisory lock'],
  ])('%s', (text, statement) => {
    expect(refusalOf(text)).toMatch(new RegExp(`^${statement}`))
  })
})

describe('is allowed', () => {
  test.each([
    '',
    'SELECT 1',
    'INSERT INTO x VALUES (1); UPDATE x SET n = 2',
    'SELECT \'ROLLBACK\', "COMMIT", $$; ROLLBACK $$',
    "INSERT INTO x VALUES ('; ROLLBACK')",
    'SELECT 1 -- ; ROLLBACK',
    'SELECT 1 /* ; ROLLBACK */',
    'SAVEPOINT a',
    'ROLLBACK TO a',
    'ROLLBACK WORK TO SAVEPOINT a',
    'RELEASE a',
    "SET LOCAL lock_timeout = '1s'",
    'SET CONSTRAINTS ALL IMMEDIATE',
    'CREATE TEMP TABLE x (n int) ON COMMIT DROP',
    'SELECT pg_advisory_xact_lock(1)',
    'CREATE RULE r AS ON INSERT TO x DO ALSO (SELECT 1; SELECT 2)',
    'CREATE FUNCTION f() RETURNS int BEGIN ATOMIC; SELECT 1; END',
    'SELECT case when true then 1 end',
    'SELECT a$b$ FROM x',
  ])('%s', (text) => {
    expect(refusalOf(text)).toBeUndefined()
  })
})

test('a statement is found after any other one, even with quoted text in it', () => {
  const quoted = fc.string({ maxLength: 20 }).map((text) => text.replaceAll('$', ''))
  const part = fc.oneof(
    quoted.map((text) => `'${text.replaceAll("'", "''")}'`),
    quoted.map((text) => `"${text.replaceAll('"', '""')}"`),
    quoted.map((text) => `$q$${text}$q$`),
    quoted.map((text) => `/* ${text.replaceAll('*', '').replaceAll('/', '')} */`),
    quoted.map((text) => `-- ${text.replaceAll(/[\n\r]/g, '')}\n`),
    fc.constantFrom('x', '1', ',', '(1)', ' '),
  )
  const statement = fc.array(part, { maxLength: 6 }).map((parts) => `SELECT ${parts.join(' ')}`)
  fc.assert(
    fc.property(fc.array(statement, { maxLength: 3 }), fc.boolean(), (statements, ends) => {
      const text = [...statements, ...(ends ? ['rollback'] : [])].join(';')
      expect(refusalOf(text) !== undefined).toBe(ends)
    }),
  )
})

test('settings may be changed by SET LOCAL and set_config', () => {
  expect(changesSettings('SELECT 1; SET LOCAL search_path = x')).toBe(true)
  expect(changesSettings(`SELECT set_config('search_path', 'x', true)`)).toBe(true)
  expect(changesSettings(`UPDATE x SET n = 1 WHERE t = 'set_config'`)).toBe(false)
})
