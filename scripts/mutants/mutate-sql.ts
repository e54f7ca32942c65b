/** Mutations of SQL: a condition, a lock or an order is dropped. Postgres can still parse the rest. */
import type { Mutation } from './mutation.js'

const STATEMENT = /\b(SELECT|INSERT INTO|UPDATE|DELETE FROM|WITH)\b/
const END_OF_CONDITION = /^(AND|OR|ORDER BY|GROUP BY|FOR|ON|RETURNING|LIMIT|UNION|DO)\b/

/** The mutations of a text; none if it is not SQL. */
export function sqlMutations(text: string): Mutation[] {
  if (!STATEMENT.test(text)) return []
  return [...conditions(text), ...clauses(text)]
}

function* conditions(text: string): Generator<Mutation> {
  for (const { 0: word, index } of text.matchAll(/\b(WHERE|AND|OR) /g)) {
    const from = index + word.length
    const end = endOfCondition(text, from)
    if (end === undefined || text.slice(from, end).trim() === 'true') continue
    const replacement = word === 'WHERE ' ? 'WHERE true ' : ''
    yield { start: index, end, replacement, kind: 'SQL condition' }
  }
}

/** The end of the condition that begins here; `undefined` if it continues beyond the text. */
function endOfCondition(text: string, from: number): number | undefined {
  let depth = 0
  for (let at = from; at < text.length; at++) {
    const letter = text[at]!
    if (letter === '(') depth++
    if (letter === ')' && --depth < 0) return at
    if (depth === 0 && /['"`]/.test(letter) && at === text.length - 1) return at
    if (depth === 0 && /\s/.test(text[at - 1]!) && END_OF_CONDITION.test(text.slice(at, at + 12))) return at
  }
  return depth === 0 ? text.length : undefined
}

function* clauses(text: string): Generator<Mutation> {
  const patterns = [
    /ON CONFLICT DO NOTHING/g,
    /FOR (NO KEY )?(SHARE|UPDATE)( OF \w+)?( SKIP LOCKED)?/g,
    /\bDISTINCT\b/g,
  ]
  for (const pattern of patterns)
    for (const { 0: clause, index } of text.matchAll(pattern))
      yield { start: index, end: index + clause.length, replacement: '', kind: 'SQL clause' }
  for (const { 0: clause, 1: first, index } of text.matchAll(/USING \((\w+), \w+\)/g))
    yield { start: index, end: index + clause.length, replacement: `USING (${first})`, kind: 'SQL clause' }
}
