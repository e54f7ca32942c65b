/** Reads the sources of every workspace, and what its package.json and tsconfig.json declare. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const ROOT = join(import.meta.dirname, '../../..')

/** A source file, with its path from the root. */
export interface Source {
  path: string
  text: string
}

/** A workspace, with those of our packages that it declares. */
export interface Workspace {
  path: string
  sources: readonly Source[]
  dependencies: readonly string[]
  references: readonly string[]
}

/** Whether the file is used by tests only. */
export const isTest = (path: string) => /\.(test|fixture|browser)\.tsx?$/.test(path) || path.startsWith('tests/')

/** `packages/core`, `apps/worker`, `scripts`, `scripts/bench`, `tests`. */
export const workspaceOf = (path: string) => /^(packages|apps)\/[^/]+|^scripts\/bench|^tests\/kit|^[^/]+/.exec(path)![0]

/** `core` of `@eventflow/core` and `@eventflow/core/…`; `eventflow`, which is the command line. */
export const namesOfOurs = (names: readonly string[]) => [
  ...new Set(
    names.flatMap((name) => /^@eventflow\/([^/]+)|^(eventflow)(?:\/|$)/.exec(name)?.slice(1).find(Boolean) ?? []),
  ),
]

/** Reads all workspaces from disk. */
export function readWorkspaces(): Workspace[] {
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
    dependencies: namesOfOurs(Object.keys({ ...dependencies, ...devDependencies })),
    references: (references ?? []).map((reference) => basename(reference.path).replace('kit', 'testkit')),
  }
}
