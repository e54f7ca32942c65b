/** What the published packages say of themselves, and that the template of `eventflow init` goes with the repository. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { parse } from 'yaml'

const ROOT = join(import.meta.dirname, '../../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const json = (path: string) => JSON.parse(read(`${path}/package.json`))

const PUBLIC = ['apps/cli', 'packages/client', 'packages/sdk', 'packages/testing']

const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, unknown> }
const published = Object.keys(packages).filter(
  (path) => path !== '' && !/(^|\/)node_modules\//.test(path) && !json(path).private,
)

test('all that users need is published, and nothing of the tests', () => {
  expect(published).toEqual(expect.arrayContaining([...PUBLIC, 'apps/console', 'packages/engine', 'packages/local']))
  expect(published.filter((path) => !/^(apps|packages)\//.test(path))).toEqual([])
})

test.each(published)('%s has the licence, and says whether its API is stable', (path) => {
  expect(read(`${path}/LICENSE`)).toBe(read('LICENSE'))
  const { name, repository, engines } = json(path)
  const readme = read(`${path}/README.md`)
  expect(readme.startsWith(`# ${name}\n`)).toBe(true)
  expect(readme.includes('Internal to EventFlow; no stable API.')).toBe(!PUBLIC.includes(path))
  expect(repository.directory).toBe(path)
  expect(engines).toEqual(json('.').engines)
})

test('the project of eventflow init has the versions of the repository', () => {
  const text = read('apps/cli/src/init/package-json.ts')
  const versions = { ...json('.').devDependencies, ...json('packages/sdk').dependencies }
  for (const name of ['@types/node', 'tsx', 'typescript'])
    expect(text).toMatch(new RegExp(`'?${name}'?: '\\${versions[name]}'`))
})

test('its databases are those of compose.yaml, with the same rights', () => {
  const [ours, theirs] = ['compose.yaml', 'apps/cli/templates/app/compose.yaml'].map((path) =>
    parse(read(path).replace('__NAME__', 'my-app'), { merge: true }),
  )
  for (const name of ['postgres', 'redis']) {
    expect(theirs.services[name].image).toBe(ours.services[name].image)
    expect(theirs.services[name].healthcheck).toEqual(ours.services[name].healthcheck)
  }
  expect(theirs.services.redis.command).toEqual(ours.services.redis.command)
  for (const port of Object.values<{ ports: string[] }>(theirs.services).flatMap(({ ports }) => ports)) {
    expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/)
  }
  const named = [...read('apps/cli/templates/app/compose.yaml').matchAll(/\$\{(\w+):\?/g)].map(([, name]) => name!)
  const example = read('apps/cli/templates/app/env.example')
  for (const name of named) expect(example).toMatch(new RegExp(`^${name}=`, 'm'))
})
