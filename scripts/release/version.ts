/** The next version: one for all packages. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type PackageJson, readWorkspaces, type Workspace } from './workspaces.js'

/** A version whose given part is one more, and those behind it are 0. */
export function nextVersion(version: string, part: 'patch' | 'minor' | 'major'): string {
  const [major = 0, minor = 0, patch = 0] = version.split('.').map(Number)
  if (part === 'major') return `${major + 1}.0.0`
  if (part === 'minor') return `${major}.${minor + 1}.0`
  return `${major}.${minor}.${patch + 1}`
}

/** Sets the version in every package.json, the lock file and the changelog below `root`. */
export async function setVersion(root: string, version: string, now: Date): Promise<void> {
  if (!/^\d+\.\d+\.\d+$/.test(version)) throw new Error(`${version} is not a version such as 1.2.3`)
  const workspaces = await readWorkspaces(root)
  const names = new Set(workspaces.map(({ json }) => json.name))
  for (const { path, json } of workspaces) {
    await writeJson(join(root, path, 'package.json'), withVersion(json, version, names))
  }
  const lockFile = join(root, 'package-lock.json')
  const lock = JSON.parse(await readFile(lockFile, 'utf8'))
  await writeJson(lockFile, lockWithVersion(lock, version, workspaces))
  const changelog = join(root, 'CHANGELOG.md')
  await writeFile(changelog, released(await readFile(changelog, 'utf8'), version, now))
}

/** Its own version, and the exact version of each of ours that it depends on. */
function withVersion<Json extends Partial<PackageJson>>(json: Json, version: string, names: ReadonlySet<string>): Json {
  const exact = (dependencies: Record<string, string>) =>
    Object.fromEntries(Object.entries(dependencies).map(([name, range]) => [name, names.has(name) ? version : range]))
  return {
    ...json,
    version,
    ...(json.dependencies && { dependencies: exact(json.dependencies) }),
    ...(json.devDependencies && { devDependencies: exact(json.devDependencies) }),
  }
}

/** A lock file as npm writes it, or as much of it as concerns our own packages. */
interface Lock {
  version: string
  packages: Record<string, Partial<PackageJson>>
}

function lockWithVersion(lock: Lock, version: string, workspaces: readonly Workspace[]): Lock {
  const names = new Set(workspaces.map(({ json }) => json.name))
  const packages = { ...lock.packages }
  for (const { path } of workspaces) packages[path] = withVersion(packages[path]!, version, names)
  return { ...lock, version, packages }
}

/** What was unreleased belongs to this version from now on. */
export function released(changelog: string, version: string, now: Date): string {
  const heading = '## [Unreleased]\n'
  if (!changelog.includes(heading)) throw new Error('CHANGELOG.md has no chapter [Unreleased]')
  return changelog.replace(heading, `${heading}\n## [${version}] - ${now.toISOString().slice(0, 10)}\n`)
}

const writeJson = (file: string, content: unknown) => writeFile(file, `${JSON.stringify(content, null, 2)}\n`)
