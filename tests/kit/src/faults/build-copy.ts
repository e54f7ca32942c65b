/**
 * A copy of the compiled pipeline in a separate folder: a concurrent build does not disturb a long run, and a bug can
 * be planted in it without a trace in the product.
 */
import { cp, mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** A change to one compiled file. */
export interface Patch {
  /** `worker/settle.js`: the package or app, and the file in its `dist`. */
  file: string
  /** The exact text, which must occur once. */
  find: string
  replace: string
}

export interface BuildCopy {
  scripts: { ingest: string; worker: string }
  definitions: string
  /** The folder with its packages and apps, each by its name. */
  packages: string
  remove(): Promise<void>
}

/**
 * Copies the build of the workspace at `root` to `.eventflow/builds/<name>`, where third-party packages can still be
 * resolved. `definitions` is the compiled folder of event definitions. Throws if a patch does not match exactly once.
 */
export async function copyBuild(
  root: string,
  name: string,
  definitions: string,
  patches: readonly Patch[] = [],
): Promise<BuildCopy> {
  const dir = join(root, '.eventflow/builds', name)
  const scope = join(dir, 'node_modules/@eventflow')
  await rm(dir, { recursive: true, force: true })
  await mkdir(scope, { recursive: true })
  for (const group of ['packages', 'apps']) {
    for (const unit of await readdir(join(root, group))) await copyUnit(join(root, group, unit), join(scope, unit))
  }
  await copyUnit(join(root, 'tests/kit'), join(scope, 'testkit'))
  await cp(definitions, join(dir, 'events'), { recursive: true, filter: isProgram })
  await writeFile(join(dir, 'package.json'), '{ "type": "module" }\n')
  for (const patch of patches) await apply(patch, scope)
  return {
    scripts: { ingest: join(scope, 'ingest/dist/main.js'), worker: join(scope, 'worker/dist/main.js') },
    definitions: join(dir, 'events'),
    packages: scope,
    remove: () => rm(dir, { recursive: true, force: true }),
  }
}

async function copyUnit(from: string, to: string): Promise<void> {
  if (!(await exists(join(from, 'dist')))) return
  await mkdir(to)
  await cp(join(from, 'package.json'), join(to, 'package.json'))
  await cp(join(from, 'dist'), join(to, 'dist'), { recursive: true, filter: isProgram })
  if (await exists(join(from, 'node_modules'))) await symlink(join(from, 'node_modules'), join(to, 'node_modules'))
}

function isProgram(path: string): boolean {
  return !/(\.d\.ts|\.map|\.test\.js|\.tsbuildinfo)$/.test(basename(path))
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

async function apply(patch: Patch, scope: string): Promise<void> {
  const path = fileOf(patch, scope)
  await writeFile(path, patched(await readFile(path, 'utf8'), patch))
}

/** Throws if a patch does not match the build of the workspace at `root` exactly once, with the number of matches. */
export async function checkPatch(root: string, patch: Patch): Promise<void> {
  const [unit] = patch.file.split('/')
  const group = (await exists(join(root, 'packages', unit!))) ? 'packages' : 'apps'
  patched(await readFile(fileOf(patch, join(root, group)), 'utf8'), patch)
}

function fileOf({ file }: Patch, scope: string): string {
  const [unit, ...rest] = file.split('/')
  return join(scope, unit!, 'dist', ...rest)
}

function patched(text: string, { file, find, replace }: Patch): string {
  const places = text.split(find).length - 1
  if (places !== 1) throw new Error(`the patch of ${file} matches ${places} times instead of once: ${find}`)
  return text.replace(find, () => replace)
}
