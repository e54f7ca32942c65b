/** The mutations of a text. */
import { describe, expect, test } from '@jest/globals'
import { apply, mutationsOf } from './mutate.js'

const mutantsOf = (text: string) => mutationsOf(text).map((mutation) => apply(text, mutation))

describe('one change at a time:', () => {
  test.each<[string, string, string[]]>([
    ['bounds', 'f(a < b)', ['f(a <= b)', 'f(a >= b)', ';']],
    ['equality', 'x = a === b', [';', 'x = a !== b']],
    ['and, or', 'x = a && b || c', [';', 'x = a && b && c', 'x = a || b || c']],
    ['what there is instead of nothing', 'x = a ?? b', [';', 'x = a && b']],
    ['sums', 'x = a + b * 2', [';', 'x = a - b * 2', 'x = a + b / 2']],
    ['but not texts', "x = 'a' + b", [';']],
    ['booleans and negations', 'x = !true', [';', 'x = true', 'x = !false']],
    ['lists and objects', 'x = [a, {b}]', [';', 'x = []', 'x = [a, {}]']],
    ['methods', 'x = a.filter(f).some(g)', [';', 'x = a.some(g)', 'x = a.filter(f).every(g)']],
    ['optional chains', 'x = a?.b?.()', [';', 'x = a.b?.()', 'x = a?.b()']],
    ['counting', 'i++', [';', 'i--']],
  ])('%s', (_, text, expected) => {
    expect(mutantsOf(text).sort()).toEqual(expected.sort())
  })

  test('conditions and return values', () => {
    expect(mutantsOf('const f = (a) => { if (a) return a.b }')).toEqual([
      'const f = (a) => { if (true) return a.b }',
      'const f = (a) => { if (false) return a.b }',
      'const f = (a) => { if (a) return; }',
    ])
    expect(mutantsOf('const f = (a) => a.b')).toEqual(['const f = (a) => undefined'])
  })

  test('statements: calls, throws, and the ends of a loop', () => {
    expect(mutantsOf('for (;;) { await a(); break }\nthrow a')).toEqual([
      'for (;;) { ; break }\nthrow a',
      'for (;;) { await a(); ; }\nthrow a',
      'for (;;) { await a(); break }\n;',
    ])
  })
})

describe('of SQL', () => {
  test('conditions, locks, handling of conflicts', () => {
    const sql = (text: string) => `f(\`${text}\`)`
    expect(mutantsOf(sql('SELECT 1 FROM a WHERE b = (1) AND c ORDER BY d FOR SHARE OF a'))).toEqual([
      ';',
      sql('SELECT 1 FROM a WHERE true AND c ORDER BY d FOR SHARE OF a'),
      sql('SELECT 1 FROM a WHERE b = (1) ORDER BY d FOR SHARE OF a'),
      sql('SELECT 1 FROM a WHERE b = (1) AND c ORDER BY d '),
    ])
    expect(mutantsOf(sql('INSERT INTO a SELECT 1 WHERE (SELECT 1 WHERE x) ON CONFLICT DO NOTHING'))).toEqual([
      ';',
      sql('INSERT INTO a SELECT 1 WHERE true ON CONFLICT DO NOTHING'),
      sql('INSERT INTO a SELECT 1 WHERE (SELECT 1 WHERE true ) ON CONFLICT DO NOTHING'),
      sql('INSERT INTO a SELECT 1 WHERE (SELECT 1 WHERE x) '),
    ])
    expect(mutantsOf(sql('SELECT 1 FROM a JOIN b USING (id, epoch)'))).toContain(
      sql('SELECT 1 FROM a JOIN b USING (id)'),
    )
  })

  test('a text that is not SQL is left alone', () => {
    expect(mutantsOf("f('WHERE and when')")).toEqual([';'])
  })
})
