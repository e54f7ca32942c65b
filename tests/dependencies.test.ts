/** The lock file pins the reviewed content of every package, from any registry. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'

interface Locked {
  link?: boolean
  integrity?: string
  resolved?: string
}

test('each package of the lock file has an integrity hash and no host', () => {
  const text = readFileSync(join(import.meta.dirname, '../../package-lock.json'), 'utf8')
  const { packages } = JSON.parse(text) as { packages: Record<string, Locked> }
  const fetched = Object.entries(packages).filter(([path, { link }]) => path.includes('node_modules/') && !link)
  expect(fetched.length).toBeGreaterThan(300)
  expect(fetched.filter(([, { integrity }]) => !integrity?.startsWith('sha512-')).map(([path]) => path)).toEqual([])
  expect(fetched.filter(([, { resolved }]) => resolved).map(([path]) => path)).toEqual([])
})
