/** The rules for files and workspaces: allowed imports, responsibilities, and sizes. */
import { filesImportedBy, parsed } from './parse.js'
import { isTest, namesOfOurs, type Source, type Workspace, workspaceOf } from './sources.js'

/** Returns the violations of a file; empty if there are none. */
export type Rule = (source: Source) => string[]

/** Which of our packages each package may import. Apps and scripts may import all of these. */
const PACKAGES: Record<string, readonly string[]> = {
  core: [],
  db: ['core'],
  redis: ['core'],
  sdk: ['core'],
  runtime: ['core'],
  monitor: ['core', 'db', 'runtime'],
  schemas: ['core', 'db', 'runtime', 'sdk'],
  samples: ['core', 'sdk'],
  intake: ['core', 'db', 'runtime'],
  upkeep: ['db', 'runtime'],
  engine: ['core', 'db', 'intake', 'monitor', 'runtime', 'schemas', 'sdk', 'upkeep'],
  client: [],
  local: [],
  // For the tests of users: it runs the HTTP service inside the test's process.
  testing: ['client', 'core', 'db', 'engine', 'ingest', 'local', 'redis', 'runtime', 'schemas', 'sdk'],
}

/** What apps and scripts may import. */
const FOR_PROGRAMS = Object.keys(PACKAGES).filter((name) => name !== 'testing')

/**
 * Who alone imports a library; besides the bench, which measures what is under those packages, and others' pipelines.
 */
const KNOWERS: Record<string, string> = {
  pg: 'packages/db',
  kysely: 'packages/db',
  ioredis: 'packages/redis',
  '@opentelemetry/sdk-trace-base': 'packages/runtime',
}

/**
 * The files that may read the environment: the settings, the command line, and the tests' services, whose addresses
 * jest passes on in it.
 */
const ENVIRONMENT_READERS = ['packages/runtime/src/config.ts', 'apps/cli/src/main.ts', 'tests/kit/src/services.ts']

export const MAX_LINES = 300

export const MAX_FUNCTION_LINES = 100

const isProgram = (path: string) => /^apps\/\w+\/src\/main\.ts$|^scripts\/(bench\/)?\w+\.ts$/.test(path)

const withoutComments = (text: string) => text.replace(/^\s*\/\*[\s\S]*?\*\//gm, '').replace(/^\s*\/\/.*$/gm, '')

/** The bench compares with earlier versions, whose statements the kit has. */
const mayImportKit = (path: string) => isTest(path) || workspaceOf(path) === 'scripts/bench'

/** Packages import only those that they may, and apps do not import apps. */
export const direction: Rule = (source) => {
  const { path } = source
  if (/^tests\//.test(path)) return []
  const allowed = PACKAGES[workspaceOf(path).replace('packages/', '')] ?? FOR_PROGRAMS
  return namesOfOurs(parsed(source).imports)
    .filter((name) => !allowed.includes(name) && !(name === 'testkit' && mayImportKit(path)))
    .map((name) => `imports @eventflow/${name}`)
}

/** Other workspaces are imported by their names. */
export const stayingInside: Rule = (source) =>
  filesImportedBy(source)
    .filter((target) => workspaceOf(target) !== workspaceOf(source.path))
    .map((target) => `reaches into ${target}`)

/** Each library is imported by one package only. */
export const oneKnowerEach: Rule = (source) =>
  Object.entries(KNOWERS)
    .filter(([, knower]) => ![knower, 'scripts/bench'].includes(workspaceOf(source.path)))
    .flatMap(([library]) => parsed(source).imports.filter((name) => name === library || name.startsWith(`${library}/`)))
    .map((name) => `imports ${name}`)

/** Few files read the environment. */
export const environment: Rule = ({ path, text }) => {
  if (isTest(path) || ENVIRONMENT_READERS.includes(path)) return []
  const reads = /\bprocess\.env\b|\benv\b[^{}]*\} = process\b|\benv\b.*from 'node:process'/.test(withoutComments(text))
  return reads ? ['reads the environment'] : []
}

/** Only a program ends its process. */
export const exit: Rule = ({ path, text }) => {
  if (isTest(path) || isProgram(path)) return []
  return /\bprocess\.(exit|exitCode|abort)\b/.test(withoutComments(text)) ? ['ends the process'] : []
}

/** No file is longer than MAX_LINES. */
export const size: Rule = ({ path, text }) => {
  const lines = text.trimEnd().split('\n').length
  return lines > MAX_LINES && !isTest(path) ? [`has ${lines} lines`] : []
}

/** No function is longer than MAX_FUNCTION_LINES. A `describe` may be longer. */
export const functionSize: Rule = (source) => {
  if (isTest(source.path)) return []
  return parsed(source)
    .functions.filter(({ lines }) => lines > MAX_FUNCTION_LINES)
    .map(({ name, lines }) => `has ${name} of ${lines} lines`)
}

/** Words that hide who acts or what is meant. An account of the operating system has such a name. */
const RIDDLES = /(?<!')\b(no|some)body\b(?![`'])|\b(what|who|whose?)(so)?ever\b/gi

/** Comments and texts name their subjects. */
export const plainWords: Rule = ({ text }) => [...text.matchAll(RIDDLES)].map(([word]) => `says '${word}'`)

/** A file begins with a sentence about itself. */
export const caption: Rule = ({ text }) => (/^\/\*\*?\s+(\* +)?[^\s*/]/.test(text) ? [] : ['begins without a caption'])

/**
 * Returns what package.json and tsconfig.json lack or declare in excess, compared with the sources. The tests may refer
 * to everything, so that it is built first.
 */
export function falseStatements({ path, sources, dependencies, references }: Workspace): string[] {
  const imported = namesOfOurs(sources.flatMap((source) => parsed(source).imports))
  const programs = sources.filter((source) => !isTest(source.path)).flatMap((source) => parsed(source).resolved)
  const compare = (file: string, stated: readonly string[], needed: readonly string[]) => [
    ...needed.filter((name) => !stated.includes(name)).map((name) => `${path}/${file} lacks ${name}`),
    ...stated
      .filter((name) => !needed.includes(name) && path !== 'tests')
      .map((name) => `${path}/${file} names ${name} for nothing`),
  ]
  return [
    ...compare('package.json', dependencies, [...new Set([...imported, ...namesOfOurs(programs)])]),
    ...compare('tsconfig.json', references, imported),
  ]
}
