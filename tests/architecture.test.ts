/** The rules of the architecture, checked in the sources: allowed imports, and responsibilities of single packages. */
import { describe, expect, test } from '@jest/globals'
import { CHAPTERED, chapterGraph, importsUpwards } from './architecture/chapters.js'
import { circlesIn, fileGraph, graphText, packageGraph } from './architecture/graph.js'
import {
  caption,
  direction,
  environment,
  exit,
  falseStatements,
  functionSize,
  MAX_FUNCTION_LINES,
  MAX_LINES,
  oneKnowerEach,
  plainWords,
  type Rule,
  size,
  stayingInside,
} from './architecture/rules.js'
import { readWorkspaces, type Source } from './architecture/sources.js'

const RULES: Record<string, Rule> = {
  direction,
  stayingInside,
  oneKnowerEach,
  environment,
  exit,
  size,
  functionSize,
  caption,
  plainWords,
  importsUpwards,
}

const violations = (rule: Rule, sources: readonly Source[]) =>
  sources.flatMap((source) => rule(source).map((what) => `${source.path} ${what}`))

const importCircles = (sources: readonly Source[]) => circlesIn(fileGraph(sources)).map((circle) => circle.join(' → '))

const workspaces = readWorkspaces()
const sources = workspaces.flatMap((workspace) => workspace.sources)

test('the sources are found', () => {
  expect(sources.map(({ path }) => path)).toEqual(
    expect.arrayContaining(['packages/core/src/event.ts', 'apps/worker/src/main.ts', 'tests/architecture.test.ts']),
  )
  expect(workspaces.map(({ path }) => path)).toEqual(expect.arrayContaining(['packages/core', 'apps/cli', 'scripts']))
})

test.each(Object.keys(RULES))('every file follows the rule %s', (name) => {
  expect(violations(RULES[name]!, sources)).toEqual([])
})

test('there is no import cycle between files', () => {
  expect(importCircles(sources)).toEqual([])
})

test('every workspace declares exactly the packages of ours that it imports', () => {
  expect(workspaces.flatMap(falseStatements)).toEqual([])
})

test('the graphs name every package and every chapter', () => {
  expect(graphText(packageGraph(workspaces))).toMatch(/^db +→ .*core/m)
  for (const workspace of CHAPTERED) {
    expect(graphText(chapterGraph(workspace, sources))).toMatch(/^root +→ /)
  }
})

describe('a violation is detected:', () => {
  test.each<[string, Rule, string, string]>([
    ['core imports db', direction, 'packages/core/src/a.ts', "import { connect } from '@eventflow/db'"],
    ['db imports redis', direction, 'packages/db/src/a.ts', "export * from '@eventflow/redis'"],
    [
      'redis imports db, for types',
      direction,
      'packages/redis/src/a.ts',
      "import type {\n  Db,\n} from '@eventflow/db'",
    ],
    ['or inside a type', direction, 'packages/redis/src/a.ts', "let db: import('@eventflow/db').Db"],
    ['sdk imports an app', direction, 'packages/sdk/src/a.ts', "await import('@eventflow/worker')"],
    ['an app imports an app', direction, 'apps/cli/src/a.ts', "import { buildApp } from '@eventflow/ingest'"],
    ['an app imports an app’s part', direction, 'apps/cli/src/a.ts', "import '@eventflow/ingest/main'"],
    ['an app imports testkit', direction, 'apps/ingest/src/a.ts', "import { until } from '@eventflow/testkit'"],
    ['an app imports the command line', direction, 'apps/ingest/src/a.ts', "import 'eventflow'"],
    ['an app imports what is for tests', direction, 'apps/cli/src/a.ts', "import { a } from '@eventflow/testing'"],
    ['a package that does not exist', direction, 'packages/core/src/a.test.ts', "import { a } from '@eventflow/new'"],
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
    ['a comment hides its subject', plainWords, 'packages/db/src/a.ts', `/** Waits for some${'body'}. */`],
    ['an empty caption', caption, 'packages/engine/src/lane/lane.ts', '/** */'],
    [
      'a chapter imports a higher one',
      importsUpwards,
      'packages/engine/src/batch/a.ts',
      "import type { A } from '../settle/a.js'",
    ],
    [
      'or one of the same floor',
      importsUpwards,
      'packages/engine/src/watch/a.ts',
      "import type { A } from '../ownership/a.js'",
    ],
    ['or a file above all chapters', importsUpwards, 'apps/ingest/src/http/a.ts', "export * from '../app.js'"],
    ['a chapter has no floor', importsUpwards, 'packages/db/src/new/a.ts', ''],
  ])('%s', (_, rule, path, text) => {
    expect(violations(rule, [{ path, text }])).toHaveLength(1)
  })

  const tooLong = '\n'.repeat(MAX_FUNCTION_LINES)
  test.each([
    ['a function', `export async function long() {${tooLong}}`],
    ['an arrow function', `const long = (a: number) => {${tooLong}}`],
    ['a method', `const all = { long() {${tooLong}} }`],
    ['a function in an object', `const all = { long: function () {${tooLong}} }`],
    ['a method of a class', `class All { async long() {${tooLong}} }`],
    ['a private one', `class All { #long() {${tooLong}} }`],
    ['a function without a name', `app.get('/', () => {${tooLong}})`],
  ])('%s is too long', (_, text) => {
    const path = 'packages/db/src/a.ts'
    const name = text.includes('long') ? 'long' : 'a function without a name'
    expect(violations(functionSize, [{ path, text }])).toEqual([
      `${path} has ${name} of ${MAX_FUNCTION_LINES + 1} lines`,
    ])
    expect(violations(functionSize, [{ path, text: text.replace('\n', '') }])).toEqual([])
    expect(violations(functionSize, [{ path: 'packages/db/src/a.test.ts', text }])).toEqual([])
  })

  test('files that import each other in a cycle, also with type imports', () => {
    const circle = [
      { path: 'apps/cli/src/a.ts', text: "import { b } from './b/b.js'" },
      { path: 'apps/cli/src/b/b.ts', text: "export * from '../c.js'" },
      { path: 'apps/cli/src/c.ts', text: "import type { A } from './a.js'" },
      { path: 'apps/cli/src/main.ts', text: "import './a.js'\nimport './c.js'" },
    ]
    expect(importCircles(circle)).toEqual([
      'apps/cli/src/a.ts → apps/cli/src/b/b.ts → apps/cli/src/c.ts → apps/cli/src/a.ts',
    ])
    expect(importCircles(circle.toSpliced(2, 1))).toEqual([])
    expect(importCircles([{ path: 'apps/cli/src/a.ts', text: "import { a } from './a.js'" }])).toHaveLength(1)
  })

  test('package.json or tsconfig.json without an imported package, or with one that is not imported', () => {
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

test('text that only looks like a violation is accepted', () => {
  const text = "/** See\n * import pg from 'pg'\n */\n// process.env, process.exit\nimport { a } from 'pg-other'\n"
  const source = { path: 'apps/worker/src/a.ts', text }
  expect(Object.values(RULES).flatMap((rule) => violations(rule, [source]))).toEqual([])
  const test = { path: 'packages/db/src/a.test.ts', text: "/** A test. */\nimport { until } from '@eventflow/testkit'" }
  expect(violations(direction, [test])).toEqual([])
  const downwards = { path: 'packages/db/src/watch/a.ts', text: "import { b } from '../server/b.js'\nimport './c.js'" }
  expect(violations(importsUpwards, [downwards])).toEqual([])
})

test('a graph is printed from the top', () => {
  const graph = new Map([
    ['a', []],
    ['high', ['a', 'middle']],
    ['middle', ['a']],
  ])
  expect(graphText(graph)).toBe('high   → middle, a\nmiddle → a\na')
})
