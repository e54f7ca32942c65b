/** The rules of the house, read from the sources: who may import whom, and who alone knows what. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, normalize } from 'node:path'
import { describe, expect, test } from '@jest/globals'

const ROOT = join(import.meta.dirname, '../..')

/** A file of ours, with its path from the root. */
interface Source {
  path: string
  text: string
}

/** What is wrong with a file; empty when nothing is. */
type Rule = (source: Source) => string[]

/** Which of our packages each package may import. Apps and scripts: see below. */
const PACKAGES: Record<string, readonly string[]> = {
  core: [],
  db: ['core'],
  redis: ['core'],
  sdk: ['core'],
  runtime: ['core'],
  monitor: ['db', 'redis'],
  schemas: ['core', 'db', 'sdk'],
  samples: ['core', 'sdk'],
  intake: ['core', 'db', 'redis', 'runtime'],
  engine: ['core', 'db', 'monitor', 'redis', 'runtime', 'schemas', 'sdk'],
  client: [],
  local: [],
  // For the tests of users: it runs the HTTP service inside the test's process.
  testing: ['client', 'db', 'engine', 'ingest', 'local', 'redis', 'runtime', 'schemas', 'sdk'],
}

/** What apps and scripts may import. */
const FOR_PROGRAMS = Object.keys(PACKAGES).filter((name) => name !== 'testing')

/** Who alone imports a library; besides the bench, which measures what is under those packages, and others' pipelines. */
const KNOWERS: Record<string, string> = {
  pg: 'packages/db',
  kysely: 'packages/db',
  ioredis: 'packages/redis',
  '@opentelemetry/sdk-trace-base': 'packages/runtime',
}

/** Who reads the environment: the settings, the command line, and the tests' services, whose addresses jest hands on in it. */
const ENVIRONMENT_READERS = ['packages/runtime/src/config.ts', 'apps/cli/src/main.ts', 'tests/kit/src/services.ts']

const MAX_LINES = 300

const isTest = (path: string) => /\.(test|fixture)\.ts$/.test(path) || /^tests\//.test(path)
const isProgram = (path: string) => /^apps\/\w+\/src\/main\.ts$|^scripts\/(bench\/)?\w+\.ts$/.test(path)

/** `packages/core`, `apps/worker`, `scripts`, `scripts/bench`, `tests`. */
const workspaceOf = (path: string) => /^(packages|apps)\/[^/]+|^scripts\/bench|^tests\/kit|^[^/]+/.exec(path)![0]

const withoutComments = (text: string) => text.replace(/^\s*\/\*[\s\S]*?\*\//gm, '').replace(/^\s*\/\/.*$/gm, '')

const matchesOf = (text: string, pattern: RegExp) =>
  [...withoutComments(text).matchAll(pattern)].map((match) => match.slice(1).find((name) => name !== undefined)!)

/** Everything a file imports: statically, for its effects only, dynamically. Not what a test has in a text. */
const importsOf = (text: string) =>
  matchesOf(text, /^(?:import|export)\b[^'"`]*? from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm)

/** Ours that it needs at hand without importing it: the programs that the command line starts. */
const resolvedBy = (text: string) => matchesOf(text, /\bimport\.meta\.resolve\('([^']+)'\)/g)

/** `core` of `@eventflow/core` and `@eventflow/core/…`; `eventflow`, which is the command line. */
const oursAmong = (names: readonly string[]) => [
  ...new Set(
    names.flatMap((name) => /^@eventflow\/([^/]+)|^(eventflow)(?:\/|$)/.exec(name)?.slice(1).find(Boolean) ?? []),
  ),
]

const direction: Rule = ({ path, text }) => {
  if (/^tests\//.test(path)) return []
  const allowed = PACKAGES[workspaceOf(path).replace('packages/', '')] ?? FOR_PROGRAMS
  return oursAmong(importsOf(text))
    .filter((name) => !allowed.includes(name) && !(name === 'testkit' && isTest(path)))
    .map((name) => `imports @eventflow/${name}`)
}

const stayingInside: Rule = ({ path, text }) =>
  importsOf(text)
    .filter((name) => name.startsWith('.'))
    .map((name) => normalize(join(dirname(path), name)))
    .filter((target) => workspaceOf(target) !== workspaceOf(path))
    .map((target) => `reaches into ${target}`)

const oneKnowerEach: Rule = ({ path, text }) =>
  Object.entries(KNOWERS)
    .filter(([, knower]) => ![knower, 'scripts/bench'].includes(workspaceOf(path)))
    .flatMap(([library]) => importsOf(text).filter((name) => name === library || name.startsWith(`${library}/`)))
    .map((name) => `imports ${name}`)

const environment: Rule = ({ path, text }) => {
  if (isTest(path) || ENVIRONMENT_READERS.includes(path)) return []
  const reads = /\bprocess\.env\b|\benv\b[^{}]*\} = process\b|\benv\b.*from 'node:process'/.test(withoutComments(text))
  return reads ? ['reads the environment'] : []
}

const exit: Rule = ({ path, text }) => {
  if (isTest(path) || isProgram(path)) return []
  return /\bprocess\.(exit|exitCode|abort)\b/.test(withoutComments(text)) ? ['ends the process'] : []
}

const size: Rule = ({ path, text }) => {
  const lines = text.trimEnd().split('\n').length
  return lines > MAX_LINES && !isTest(path) ? [`has ${lines} lines`] : []
}

const caption: Rule = ({ text }) => (/^\/\*\*?\s+(\* +)?[^\s*/]/.test(text) ? [] : ['begins without a caption'])

const RULES: Record<string, Rule> = { direction, stayingInside, oneKnowerEach, environment, exit, size, caption }

const violations = (rule: Rule, sources: readonly Source[]) =>
  sources.flatMap((source) => rule(source).map((what) => `${source.path} ${what}`))

/** A workspace, with what it says that it needs of ours. */
interface Workspace {
  path: string
  sources: readonly Source[]
  dependencies: readonly string[]
  references: readonly string[]
}

/** What package.json and tsconfig.json say more or less than the sources need. The tests may name all: it is built first. */
function falseStatements({ path, sources, dependencies, references }: Workspace): string[] {
  const imported = oursAmong(sources.flatMap(({ text }) => importsOf(text)))
  const resolved = oursAmong(sources.filter((source) => !isTest(source.path)).flatMap(({ text }) => resolvedBy(text)))
  const compare = (file: string, stated: readonly string[], needed: readonly string[]) => [
    ...needed.filter((name) => !stated.includes(name)).map((name) => `${path}/${file} lacks ${name}`),
    ...stated
      .filter((name) => !needed.includes(name) && path !== 'tests')
      .map((name) => `${path}/${file} names ${name} for nothing`),
  ]
  return [
    ...compare('package.json', dependencies, [...new Set([...imported, ...resolved])]),
    ...compare('tsconfig.json', references, imported),
  ]
}

function readWorkspaces(): Workspace[] {
  const inside = (folder: string) => readdirSync(join(ROOT, folder)).map((name) => `${folder}/${name}`)
  const single = ['grafana', 'scripts', 'scripts/bench', 'tests', 'tests/kit']
  return [...inside('packages'), ...inside('apps'), ...single].map(readWorkspace)
}

function readWorkspace(path: string): Workspace {
  const read = (file: string) => readFileSync(join(ROOT, path, file), 'utf8')
  const { dependencies, devDependencies } = JSON.parse(read('package.json'))
  const { references } = JSON.parse(read('tsconfig.json')) as { references?: { path: string }[] }
  return {
    path,
    sources: readdirSync(join(ROOT, path), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.tsx?$/.test(file) && !/^(dist|node_modules|templates|bench\/|kit\/)/.test(file))
      .map((file) => ({ path: `${path}/${file}`, text: read(file) })),
    dependencies: oursAmong(Object.keys({ ...dependencies, ...devDependencies })),
    references: (references ?? []).map((reference) => basename(reference.path).replace('kit', 'testkit')),
  }
}

const workspaces = readWorkspaces()
const sources = workspaces.flatMap((workspace) => workspace.sources)

test('the sources are found', () => {
  expect(sources.map(({ path }) => path)).toEqual(
    expect.arrayContaining(['packages/core/src/event.ts', 'apps/worker/src/main.ts', 'tests/architecture.test.ts']),
  )
  expect(workspaces.map(({ path }) => path)).toEqual(expect.arrayContaining(['packages/core', 'apps/cli', 'scripts']))
})

test.each(Object.keys(RULES))('every file keeps to the rule of %s', (name) => {
  expect(violations(RULES[name]!, sources)).toEqual([])
})

test('every workspace says exactly what it needs of ours', () => {
  expect(workspaces.flatMap(falseStatements)).toEqual([])
})

/** Apart from where it is planted, lest this file be found to import it. */
const WORKER = '@eventflow/worker'

describe('a violation is caught:', () => {
  test.each<[string, Rule, string, string]>([
    ['core imports db', direction, 'packages/core/src/a.ts', "import { connect } from '@eventflow/db'"],
    ['db imports redis', direction, 'packages/db/src/a.ts', "export * from '@eventflow/redis'"],
    [
      'redis imports db, for types',
      direction,
      'packages/redis/src/a.ts',
      "import type {\n  Db,\n} from '@eventflow/db'",
    ],
    ['sdk imports an app', direction, 'packages/sdk/src/a.ts', `await import('${WORKER}')`],
    ['an app imports an app', direction, 'apps/cli/src/a.ts', "import { buildApp } from '@eventflow/ingest'"],
    ['an app imports an app’s part', direction, 'apps/cli/src/a.ts', "import '@eventflow/ingest/main'"],
    ['an app imports testkit', direction, 'apps/ingest/src/a.ts', "import { until } from '@eventflow/testkit'"],
    ['an app imports the command line', direction, 'apps/ingest/src/a.ts', "import 'eventflow'"],
    ['an app imports what is for tests', direction, 'apps/cli/src/a.ts', "import { a } from '@eventflow/testing'"],
    ['a package nobody has heard of', direction, 'packages/core/src/a.test.ts', "import { a } from '@eventflow/new'"],
    [
      'another package by its path',
      stayingInside,
      'apps/ingest/src/a.ts',
      "import { a } from '../../../packages/db/src/a.js'",
    ],
    ['an app knows pg', oneKnowerEach, 'apps/worker/src/a.ts', "import pg from 'pg'"],
    ['redis knows kysely', oneKnowerEach, 'packages/redis/src/a.ts', "import { sql } from 'kysely/helpers/postgres'"],
    ['db knows ioredis', oneKnowerEach, 'packages/db/src/a.ts', "import { Redis } from 'ioredis'"],
    ['anyone reads the environment', environment, 'packages/db/src/a.ts', 'const url = process.env.DATABASE_URL'],
    ['by another name', environment, 'apps/worker/src/main.ts', 'const { argv, env } = process'],
    ['by an import', environment, 'apps/worker/src/main.ts', "import { env } from 'node:process'"],
    ['anyone ends the process', exit, 'packages/engine/src/lane/lane.ts', 'if (failed) process.exit(1)'],
    ['or has it ended', exit, 'packages/runtime/src/stop.ts', 'stopOnSignal(log, 0, [], process.exit)'],
    ['a file is too long', size, 'packages/engine/src/lane/lane.ts', '/** Long. */\n'.repeat(MAX_LINES + 1)],
    [
      'a file has no caption',
      caption,
      'packages/engine/src/lane/lane.ts',
      "import { a } from './a.js'\n/** Too late. */",
    ],
    ['a caption says nothing', caption, 'packages/engine/src/lane/lane.ts', '/** */'],
  ])('%s', (_, rule, path, text) => {
    expect(violations(rule, [{ path, text }])).toHaveLength(1)
  })

  test('package.json and tsconfig.json lack what is imported, or name what is not', () => {
    const text = "import { a } from '@eventflow/core'\nimport.meta.resolve('@eventflow/worker/main')"
    const workspace = { path: 'apps/a', sources: [{ path: 'apps/a/src/a.ts', text }] }
    expect(falseStatements({ ...workspace, dependencies: ['db'], references: ['core', 'db'] })).toEqual([
      'apps/a/package.json lacks core',
      'apps/a/package.json lacks worker',
      'apps/a/package.json names db for nothing',
      'apps/a/tsconfig.json names db for nothing',
    ])
  })
})

test('what only looks like a violation is none', () => {
  const text = "/** See\n * import pg from 'pg'\n */\n// process.env, process.exit\nimport { a } from 'pg-other'\n"
  const source = { path: 'apps/worker/src/a.ts', text }
  expect(Object.values(RULES).flatMap((rule) => violations(rule, [source]))).toEqual([])
  const test = { path: 'packages/db/src/a.test.ts', text: "/** A test. */\nimport { until } from '@eventflow/testkit'" }
  expect(violations(direction, [test])).toEqual([])
})
