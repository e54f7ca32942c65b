/** Loading a folder of definitions, and what is said when something is wrong with it. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, test } from '@jest/globals'
import { loadDefinitions } from './index.js'

const PIPELINE = new URL('./index.js', import.meta.url).href

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'eventflow-definitions-'))
})

afterEach(() => rm(folder, { recursive: true }))

function write(name: string, text: string): Promise<void> {
  return writeFile(join(folder, name), text)
}

function defining(...types: string[]): string {
  const definitions = types.map((type) => `defineEvent({ type: '${type}', schema: Type.Object({}) })`)
  return `import { defineEvent, Type } from '${PIPELINE}'
    export default ${definitions.length === 1 ? definitions[0] : `[${definitions}]`}`
}

test('gives the definitions of all files by type', async () => {
  await write('one.mjs', defining('a.one'))
  await write('more.mjs', defining('a.two', 'a.three'))
  const definitions = await loadDefinitions(folder)
  expect([...definitions.keys()].sort()).toEqual(['a.one', 'a.three', 'a.two'])
  expect(definitions.get('a.one')).toMatchObject({ type: 'a.one' })
})

test('passes over tests, declarations, private files, other files and subfolders', async () => {
  await write('one.mjs', defining('a.one'))
  for (const name of ['one.test.mjs', 'one.test.js', 'one.d.ts', '_shared.mjs', 'notes.md', 'one.mjs.map']) {
    await write(name, 'this is no JavaScript')
  }
  await mkdir(join(folder, 'sub.mjs'))
  expect([...(await loadDefinitions(folder)).keys()]).toEqual(['a.one'])
})

test('loads TypeScript, whose errors are the same classes as ours', async () => {
  await write('package.json', '{ "type": "module" }')
  await write('_text.ts', `export const type: string = 'a.typed'`)
  await write(
    'typed.ts',
    `import { defineEvent, PermanentError, Type } from '${PIPELINE}'
    import { type } from './_text'
    interface Problem { pointer: string; message: string }
    const validate = (): Problem[] => { throw new PermanentError('no') }
    export default defineEvent({ type, schema: Type.Object({}), validate })`,
  )
  // In a process of its own: jest has its own way of importing, which knows no TypeScript.
  const script = `
    const { loadDefinitions, PermanentError } = await import('${PIPELINE}')
    const definitions = await loadDefinitions('${folder}')
    try { definitions.get('a.typed').validate() } catch (error) { console.log(error instanceof PermanentError) }`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  expect(stdout.trim()).toBe('true')
})

test('says what TypeScript needs in order to be a module', async () => {
  await write('package.json', '{ "type": "commonjs" }')
  await write('typed.ts', defining('a.typed'))
  await expect(loadDefinitions(folder)).rejects.toThrow(
    /cannot import .*typed\.ts: it needs a package\.json with "type"/,
  )
})

test('says when there is no such folder', async () => {
  const nowhere = join(folder, 'nowhere')
  await expect(loadDefinitions(nowhere)).rejects.toThrow(
    `cannot read the folder of event definitions ${nowhere}: ENOENT`,
  )
})

test('says when there are no definitions', async () => {
  await write('_one.mjs', defining('a.one'))
  await expect(loadDefinitions(folder)).rejects.toThrow(`there are no event definitions in ${folder}`)
})

test.each([
  ['cannot be imported', `throw new Error('not today')`, /cannot import .*bad\.mjs: not today/],
  ['has no default export', 'export const a = 1', /bad\.mjs has no default export/],
  ['exports something else', `export default { type: 'a.b', schema: {} }`, /bad\.mjs must be made by defineEvent/],
  ['exports a list with something else', 'export default [1]', /bad\.mjs must be made by defineEvent/],
])('names the file that %s', async (_, text, message) => {
  await write('bad.mjs', text)
  await expect(loadDefinitions(folder)).rejects.toThrow(message)
})

test('names both files that define a type', async () => {
  await write('one.mjs', defining('a.one'))
  await write('other.mjs', defining('a.one'))
  await expect(loadDefinitions(folder)).rejects.toThrow(/'a\.one' is defined twice: in .*one\.mjs and in .*other\.mjs/)
})
