/** The workspaces of a checkout, by what their package.json says. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The parts of a package.json that a release looks at. */
export interface PackageJson {
  name: string
  version: string
  private?: boolean
  files?: string[]
  exports?: Record<string, string | Record<string, string>>
  types?: string
  bin?: Record<string, string>
  dependencies?: Record<string, string>
  devDependencies?: Record<string, string>
  [field: string]: unknown
}

/** A workspace, or the root itself. */
export interface Workspace {
  /** From the root, `''` for the root itself. */
  path: string
  json: PackageJson
}

/** The root and all workspaces, in the order of their paths. The lock file knows them: its entries outside of node_modules. */
export async function readWorkspaces(root: string): Promise<Workspace[]> {
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8'))
  const paths = Object.keys(lock.packages).filter((path) => !/(^|\/)node_modules\//.test(path))
  return Promise.all(
    paths.sort().map(async (path) => ({
      path,
      json: JSON.parse(await readFile(join(root, path, 'package.json'), 'utf8')) as PackageJson,
    })),
  )
}

/** Those that are published. */
export const publishedOf = (workspaces: readonly Workspace[]) => workspaces.filter(({ json }) => !json.private)
