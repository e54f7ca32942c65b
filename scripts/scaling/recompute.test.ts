/** Checks docs/scaling.md against its own figures. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { recompute } from './recompute.js'

const text = readFileSync(join(import.meta.dirname, '../../../docs/scaling.md'), 'utf8')

test('the document matches its figures; if not, npm run scaling corrects it', () => {
  expect(recompute(text)).toBe(text)
})

test('another figure gives other results, in the lines of the model and in the tables', () => {
  const changed = recompute(text.replace(/^\| `postgres` \| [\d.]+ \|/m, '| `postgres` | 1000 |')).split('\n')
  const differing = text.split('\n').filter((line, index) => line !== changed[index])
  expect(differing).toContainEqual(expect.stringMatching(/^const \w+ = .*postgres.* → /))
  expect(differing).toContainEqual(expect.stringMatching(/^\| 100,000 \| /))
})

test('a model that cannot be run is an error', () => {
  expect(() => recompute(text.replaceAll('`ingest`', '`other`'))).toThrow('ingest is not defined')
})
