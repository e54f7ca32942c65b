/** The definitions in the documents compile and load. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from '@jest/globals'

const ROOT = join(import.meta.dirname, '../..')
const DOCUMENTS = ['README.md', 'docs/tutorial.md', 'docs/defining-events.md', 'docs/streams.md']

const run = promisify(execFile)
const blocks = (path: string) => readFileSync(join(ROOT, path), 'utf8').matchAll(/^```(\w+)\n(.*?)^```$/gms)

/** Complete definitions by document; excerpts cannot be compiled. */
const definitions = DOCUMENTS.flatMap((path) =>
  [...blocks(path)].filter(([, , code]) => code!.includes('export default')).map(([, , code]) => ({ path, code })),
)

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eventflow-docs-'))
  for (const name of ['node_modules', 'tsconfig.base.json', 'package.json'])
    await symlink(join(ROOT, name), join(folder, name))
  for (const [index, { code }] of definitions.entries()) await writeFile(join(folder, `definition-${index}.ts`), code!)
  const config = [...blocks('docs/defining-events.md')].find(([, language]) => language === 'json')![2]!
  await writeFile(join(folder, 'tsconfig.json'), config.replace('../', './'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

test('each document has one', () => {
  expect(new Set(definitions.map(({ path }) => path))).toEqual(new Set(DOCUMENTS))
})

test('they compile with the recommended tsconfig.json', async () => {
  const { stdout } = await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder]).catch((error) => error)
  expect(stdout).toBe('')
})

test('they load together', async () => {
  // In another process: jest replaces import and does not know TypeScript.
  const script = `
    const { loadDefinitions } = await import('@eventflow/sdk')
    const { events, consumers, windows, joins } = await loadDefinitions('${folder}')
    console.log([...events.keys(), ...consumers.keys(), ...windows.keys(), ...joins.keys()].join())`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: folder })
  const named = definitions.flatMap(({ code }) =>
    [...code!.matchAll(/^ +(?:type|name): '(.+)',$/gm)].map(([, name]) => name),
  )
  expect(named).toEqual(expect.arrayContaining(stdout.trim().split(',')))
  expect(stdout.trim().split(',').length).toBeGreaterThanOrEqual(definitions.length)
})
