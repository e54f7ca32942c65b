/** Compares docs/http.md with the code. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { PROBLEMS } from '@eventflow/core'
import { expect, test } from '@jest/globals'

test('its table of errors is complete and correct', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/http.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| (\d+) \| (.*) \| (yes|no) \|$/gm)].map(([, ...row]) => row)
  expect(rows).toEqual(
    Object.entries(PROBLEMS).map(([code, kind]) => [code, `${kind.status}`, kind.title, kind.retryable ? 'yes' : 'no']),
  )
})
