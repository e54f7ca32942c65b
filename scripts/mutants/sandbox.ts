/** A copy of the build in which one file at a time is mutated, so that the original stays usable. */
import { cp, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

const COPIED = ['packages', 'apps', 'tests', 'docs', 'package.json']

export interface Sandbox {
  root: string
  remove(): Promise<void>
}

/**
 * Copies the build of a repository. Links the libraries; but our own packages are the copies, and `@jest/globals` is
 * replaced by a version that runs without jest.
 */
export async function createSandbox(repository: string): Promise<Sandbox> {
  const root = await mkdtemp(join(tmpdir(), 'eventflow-mutants-'))
  for (const name of COPIED) {
    await cp(join(repository, name), join(root, name), {
      recursive: true,
      verbatimSymlinks: true,
      filter: (path) => basename(path) !== 'node_modules',
    })
  }
  await linkLibraries(join(repository, 'node_modules'), join(root, 'node_modules'))
  for (const workspace of await workspacesOf(repository)) {
    const libraries = join(repository, workspace, 'node_modules')
    await symlink(libraries, join(root, workspace, 'node_modules')).catch(() => {})
  }
  return { root, remove: () => rm(root, { recursive: true, force: true }) }
}

async function linkLibraries(from: string, to: string): Promise<void> {
  await mkdir(join(to, '@jest/globals'), { recursive: true })
  for (const name of await readdir(from)) {
    if (name === '@jest' || name === '@eventflow') continue
    await symlink(join(from, name), join(to, name))
  }
  // Links to `../../packages/…`, which lead to the copies.
  await cp(join(from, '@eventflow'), join(to, '@eventflow'), { recursive: true, verbatimSymlinks: true })
  const globals = join(import.meta.dirname, 'test-globals.js')
  await writeFile(join(to, '@jest/globals/package.json'), '{ "type": "module", "exports": "./index.js" }')
  await writeFile(join(to, '@jest/globals/index.js'), `export * from ${JSON.stringify(globals)}\n`)
}

async function workspacesOf(repository: string): Promise<string[]> {
  const inside = async (folder: string) => (await readdir(join(repository, folder))).map((name) => join(folder, name))
  return (await Promise.all(['packages', 'apps'].map(inside))).flat()
}
