/** Loading a folder of definitions, and the messages about mistakes in it. */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals'
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

function consuming(name: string): string {
  return `import { defineConsumer } from '${PIPELINE}'
    export default defineConsumer({ name: '${name}', events: ['a.one'], handle: async () => {} })`
}

const WINDOWING = "defineWindow({ name: 'w', on: ['a.one', 'a.no'], window: tumbling('1m'), aggregate: { n: count() }"
const JOINING = "defineJoin({ name: 'j', left: 'a.one', right: 'a.one', match: 'latest', select: () => null"

function reading(...definitions: string[]): string {
  return `import { count, defineConsumer, defineJoin, defineWindow, tumbling } from '${PIPELINE}'
    export default [${definitions}]`
}

test('returns the definitions of all files by type', async () => {
  await write('one.mjs', defining('a.one'))
  await write('more.mjs', defining('a.two', 'a.three'))
  const { events: definitions } = await loadDefinitions(folder)
  expect([...definitions.keys()].sort()).toEqual(['a.one', 'a.three', 'a.two'])
  expect(definitions.get('a.one')).toMatchObject({ type: 'a.one' })
})

test('returns the consumers by name, from the same files', async () => {
  await write('one.mjs', defining('a.one'))
  await write('consumer.mjs', consuming('first'))
  await write(
    'both.mjs',
    `import { defineConsumer, defineEvent, Type } from '${PIPELINE}'
    export default [
      defineEvent({ type: 'a.two', schema: Type.Object({}) }),
      defineConsumer({ name: 'a.one', events: ['a.one', 'a.two'], handleBatch: async () => {} }),
    ]`,
  )
  const said: string[] = []
  const { events, consumers } = await loadDefinitions(folder, { warn: (message) => said.push(message) })
  expect([...events.keys()].sort()).toEqual(['a.one', 'a.two'])
  expect([...consumers.keys()].sort()).toEqual(['a.one', 'first'])
  expect(consumers.get('a.one')).toMatchObject({ name: 'a.one', events: ['a.one', 'a.two'] })
  expect(said).toEqual([])
})

test('names both files that define a consumer', async () => {
  await write('one.mjs', consuming('first'))
  await write('other.mjs', consuming('first'))
  await expect(loadDefinitions(folder)).rejects.toThrow(
    /consumer 'first' is defined twice: in .*one\.mjs and in .*other\.mjs/,
  )
})

test('warns of event types that a consumer reads and no file defines', async () => {
  await write('one.mjs', defining('a.two'))
  await write('consumer.mjs', consuming('first'))
  const said: string[] = []
  await loadDefinitions(folder, { warn: (message) => said.push(message) })
  expect(said).toEqual(["consumer 'first' reads event types that are not defined: a.one"])
})

test('returns windows and joins by name', async () => {
  await write('one.mjs', defining('a.one', 'a.no'))
  await write('readers.mjs', reading(`${WINDOWING} })`, `${JOINING}, emit: 'a.one' })`))
  const said: string[] = []
  const { consumers, windows, joins } = await loadDefinitions(folder, { warn: (message) => said.push(message) })
  expect(consumers.size).toBe(0)
  expect([...windows]).toMatchObject([['w', { name: 'w', window: { kind: 'tumbling' } }]])
  expect([...joins]).toMatchObject([['j', { name: 'j', match: 'latest' }]])
  expect(said).toEqual([])
})

test('names both files if two readers of different kinds have one name', async () => {
  await write('one.mjs', consuming('w'))
  await write('other.mjs', reading(`${WINDOWING} })`))
  await expect(loadDefinitions(folder)).rejects.toThrow(
    /window 'w' in .*other\.mjs has the name of consumer 'w' in .*one\.mjs: consumers, windows and joins need different/,
  )
})

test('warns of event types that windows and joins read or emit and no file defines', async () => {
  await write('one.mjs', defining('a.two'))
  await write('readers.mjs', reading(`${WINDOWING}, emit: 'a.two' })`, `${JOINING}, emit: 'a.three' })`))
  const said: string[] = []
  await loadDefinitions(folder, { warn: (message) => said.push(message) })
  expect(said).toEqual([
    "window 'w' reads event types that are not defined: a.one, a.no",
    "join 'j' reads event types that are not defined: a.one",
    "join 'j' emits an event type that is not defined: a.three",
  ])
})

test('consumers alone are not enough', async () => {
  await write('consumer.mjs', consuming('first'))
  await expect(loadDefinitions(folder)).rejects.toThrow(`no event definitions in ${folder}`)
})

test('ignores tests, declarations, private files, and leftovers of editors and systems', async () => {
  await write('one.mjs', defining('a.one'))
  const ofUsers = [
    'one.test.mjs',
    'one.test.js',
    'one.spec.ts',
    'one.d.ts',
    '_shared.mjs',
    '_shared.cjs',
    'notes.md',
    'one.mjs.map',
  ]
  const ofSystems = [
    '._one.mjs',
    '._one.ts',
    '.DS_Store',
    'one.mjs~',
    '#one.mjs#',
    '.one.mjs.swp',
    'Thumbs.db',
    '.eslintrc.cjs',
  ]
  for (const name of [...ofUsers, ...ofSystems]) await write(name, 'this is no JavaScript')
  // How Emacs locks a file: a dangling link.
  await symlink('me@host.1234:5678', join(folder, '.#one.mjs'))
  const said: string[] = []
  const { events: definitions } = await loadDefinitions(folder, { warn: (message) => said.push(message) })
  expect([...definitions.keys()]).toEqual(['a.one'])
  expect(said).toEqual([])
})

test.each([
  [
    'one.cts',
    /cannot load .*one\.cts: a CommonJS module cannot be a definition; make it .* \.mjs or \.mts; .* with _$/,
  ],
  ['one.cjs', /one\.cjs: a CommonJS module/],
  ['one.tsx', /one\.tsx: definitions end in \.ts, \.mts, \.js or \.mjs/],
  ['one.jsx', /one\.jsx: definitions end in/],
  ['One.TS', /One\.TS: its ending has capital letters; rename it to One\.ts/],
  ['One.MJS', /One\.MJS: its ending has capital letters; rename it to One\.mjs/],
])('a file that looks like a definition and cannot be one ends the start: %s', async (name, message) => {
  await write('one.mjs', defining('a.one'))
  await write(name, '')
  await expect(loadDefinitions(folder)).rejects.toThrow(message)
})

test('a link to a file is loaded; a dangling link ends the start', async () => {
  await write('_one.mjs', defining('a.one'))
  await symlink(join(folder, '_one.mjs'), join(folder, 'one.mjs'))
  expect([...(await loadDefinitions(folder)).events.keys()]).toEqual(['a.one'])
  await symlink('/no/such/file', join(folder, 'two.mjs'))
  await expect(loadDefinitions(folder)).rejects.toThrow(
    /cannot load .*two\.mjs: it is a link to a file that does not exist/,
  )
})

test('a path that is not a regular file does not block the start', async () => {
  await promisify(execFile)('mkfifo', [join(folder, 'one.mjs')])
  await expect(loadDefinitions(folder)).rejects.toThrow(/one\.mjs: it is not a file/)
})

test('definitions in subfolders are reported, other files there are not', async () => {
  await write('one.mjs', defining('a.one'))
  for (const path of ['orders/deep', 'lib', 'node_modules/x', '.git'])
    await mkdir(join(folder, path), { recursive: true })
  await write('orders/deep/two.ts', defining('a.two'))
  await write('orders/three.mjs', consuming('three'))
  await write('lib/sum.mjs', 'export const sum = (a, b) => a + b')
  await write('node_modules/x/index.js', defining('a.three'))
  await write('.git/four.js', defining('a.four'))
  const said: string[] = []
  await loadDefinitions(folder, { warn: (message) => said.push(message) })
  const named = `not loaded: ${folder}/orders/deep/two.ts, ${folder}/orders/three.mjs; definitions are not read from subfolders`
  expect(said).toEqual([named])
  await rm(join(folder, 'one.mjs'))
  await expect(loadDefinitions(folder)).rejects.toThrow(`no event definitions in ${folder}; ${named}`)
})

test('an import that does not end is reported, and then given up', async () => {
  await write('one.mjs', 'await new Promise(() => {})')
  const said: string[] = []
  const options = { warn: (message: string) => said.push(message), tellAfterMs: 10, giveUpAfterMs: 50 }
  await expect(loadDefinitions(folder, options)).rejects.toThrow(
    `cannot import ${folder}/one.mjs: the import did not finish within 0.05 s`,
  )
  expect(said).toEqual([`still importing ${folder}/one.mjs`])
})

/** Loads the folder in another process with Node's own import, which jest replaces. Returns its output. */
async function loadedApart(): Promise<string> {
  const script = `
    const { loadDefinitions } = await import('${PIPELINE}')
    await loadDefinitions('${folder}').then(() => console.log('loaded'), ({ message }) => console.log(message))`
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]).catch(
    (error: { stdout: string; stderr: string }) => error,
  )
  return (stdout + stderr).trim().replaceAll(folder, '…')
}

describe('reports the place of', () => {
  beforeEach(() => write('package.json', '{ "type": "module" }'))

  test.each<[string, Record<string, string>, string]>([
    [
      'a syntax error',
      { 'a.mjs': 'const one = 1\n\nconst = 2\n' },
      "cannot import …/a.mjs:3:7: Unexpected token '='\n  const = 2\n        ^",
    ],
    ['a syntax error in .js', { 'a.js': 'export default (\n' }, 'cannot import …/a.js:2:1: Unexpected end of input'],
    [
      'a syntax error in TypeScript',
      { 'a.ts': 'const one: number = 1\nconst = 2\n' },
      'cannot import …/a.ts:2:7: Expected identifier but found "="\n  const = 2\n        ^',
    ],
    [
      'a syntax error in what it imports',
      { 'a.mjs': `import './_b.mjs'`, '_b.mjs': 'const = 1\n' },
      "cannot import …/a.mjs: in …/_b.mjs:1:7: Unexpected token '='\n  const = 1\n        ^",
    ],
    [
      'an import that is not there',
      { 'a.ts': `import { b } from './_b.mjs'\nconsole.log(b)` },
      "cannot import …/a.ts: Cannot find module '…/_b.mjs' imported from …/a.ts",
    ],
    [
      'a name that is not exported',
      { 'a.mjs': `import { c } from './_b.mjs'`, '_b.mjs': 'export const b = 1' },
      "cannot import …/a.mjs:1:10: The requested module './_b.mjs' does not provide an export named 'c'\n" +
        `  import { c } from './_b.mjs'\n           ^`,
    ],
    ['what it throws', { 'a.ts': 'type A = 1\n\nthrow new Error("not today")' }, 'cannot import …/a.ts:3:7: not today'],
    [
      'a definition that is not well defined',
      {
        'a.mjs': `import { defineEvent } from '${PIPELINE}'\nexport default defineEvent({ type: 'a', schema: {}, kye: 1 })`,
      },
      'cannot import …/a.mjs:2:16: the definition of event type "a" is wrong:\n  kye: unknown field',
    ],
    [
      'a package that is not to be found',
      { 'a.mjs': `import { defineEvent } from '@eventflow/sdk'` },
      "cannot import …/a.mjs: Cannot find package '@eventflow/sdk' imported from …/a.mjs: install it in the folder of " +
        'definitions or above it: npm install @eventflow/sdk',
    ],
    [
      'a call of process.exit',
      { 'a.mjs': 'process.exit(0)' },
      'the process exited while importing …/a.mjs: does the file call exit?',
    ],
  ])('%s', async (_, files, message) => {
    for (const [name, text] of Object.entries(files)) await write(name, text)
    expect(await loadedApart()).toBe(message)
  })
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
  // In another process: jest replaces import and does not know TypeScript.
  const script = `
    const { loadDefinitions, PermanentError } = await import('${PIPELINE}')
    const { events } = await loadDefinitions('${folder}')
    try { events.get('a.typed').validate() } catch (error) { console.log(error instanceof PermanentError) }`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script])
  expect(stdout.trim()).toBe('true')
})

test('reports what TypeScript needs to be an ES module', async () => {
  await write('package.json', '{ "type": "commonjs" }')
  await write('typed.ts', defining('a.typed'))
  await expect(loadDefinitions(folder)).rejects.toThrow(
    /cannot import .*typed\.ts: it needs a package\.json with "type": "module" .* or the ending \.mts$/,
  )
  await rm(join(folder, 'typed.ts'))
  await write('plain.js', defining('a.plain'))
  await expect(loadDefinitions(folder)).rejects.toThrow(/cannot import .*plain\.js: it needs .* or the ending \.mjs$/)
})

test('reports a missing folder', async () => {
  const nowhere = join(folder, 'nowhere')
  await expect(loadDefinitions(nowhere)).rejects.toThrow(
    `cannot read the folder of event definitions ${nowhere}: ENOENT`,
  )
})

test('reports a folder without definitions', async () => {
  await write('_one.mjs', defining('a.one'))
  await expect(loadDefinitions(folder)).rejects.toThrow(`no event definitions in ${folder}`)
})

test.each([
  ['cannot be imported', `throw new Error('not today')`, /cannot import .*bad\.mjs:1:7: not today/],
  ['throws what is no error', 'throw null', /cannot import .*bad\.mjs: it threw null/],
  [
    'throws what cannot be looked at',
    'throw { get message() { throw 1 } }',
    /bad\.mjs: it threw a value that cannot be shown/,
  ],
  [
    'has no default export',
    'export const a = 1',
    /bad\.mjs has no default export: write .* defineEvent\({ … }\), or defineConsumer, defineWindow or defineJoin/,
  ],
  [
    'exports something else',
    `export default { type: 'a.b', schema: {} }`,
    /bad\.mjs must be made by defineEvent\(…\), .*, defineWindow\(…\) or defineJoin\(…\), .*: it is an object that none/,
  ],
  ['exports a list with something else', 'export default [1]', /bad\.mjs must be made by defineEvent.*: \[0\] it is 1/],
  ['exports a list of lists', 'export default [[]]', /bad\.mjs must be .*: \[0\] it is a list inside the list/],
  [
    'exports a promise',
    'export default Promise.resolve()',
    /bad\.mjs must be .*: it is a promise; write await before it/,
  ],
  ['exports a function', 'export default () => {}', /bad\.mjs must be .*: it is a function; export its result/],
  ['exports null', 'export default null', /bad\.mjs must be .*: it is null/],
  [
    'exports a trap',
    'export default new Proxy({}, { has() { throw 1 } })',
    /bad\.mjs must be .*: it is an object that/,
  ],
])('names the file that %s', async (_, text, message) => {
  await write('bad.mjs', text)
  await expect(loadDefinitions(folder)).rejects.toThrow(message)
})

test('names both files that define a type', async () => {
  await write('one.mjs', defining('a.one'))
  await write('other.mjs', defining('a.one'))
  await expect(loadDefinitions(folder)).rejects.toThrow(/'a\.one' is defined twice: in .*one\.mjs and in .*other\.mjs/)
})
