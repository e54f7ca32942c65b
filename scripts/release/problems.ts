/** What is wrong with a packed package. */
import type { PackageJson } from './workspaces.js'

/** The release that it is part of. */
interface Release {
  version: string
  /** The names of all packages that are published. */
  names: readonly string[]
}

/** Files that every tarball has. */
const NEEDED = ['LICENSE', 'README.md', 'package.json']

/** Fields that a registry, npm and editors read. */
const FIELDS = ['description', 'license', 'repository', 'engines', 'files', 'exports']

/** Only for our own tests and builds. Templates of projects have tests that are meant for their users. */
const OURS_ALONE = /^(?!templates\/).*(\.(test|fixture)\.|(^|\/)(test-|\.tsbuildinfo))/

/** Paths and protocols that only this checkout can resolve. */
const LOCAL = /^(file:|link:|workspace:|portal:|\.|\/)/

/** Each thing that is wrong, in words. `files` are the paths in the tarball. */
export function problemsOf(json: PackageJson, files: readonly string[], { version, names }: Release): string[] {
  const has = new Set(files)
  return [
    ...NEEDED.filter((file) => !has.has(file)).map((file) => `lacks ${file}`),
    ...FIELDS.filter((field) => !(field in json)).map((field) => `package.json lacks ${field}`),
    ...files.filter((file) => OURS_ALONE.test(file)).map((file) => `has ${file}`),
    ...targetsOf(json)
      .filter((file) => !has.has(file))
      .map((file) => `package.json names ${file}, which is not packed`),
    ...Object.entries(json.dependencies ?? {}).flatMap(([name, range]) => {
      if (LOCAL.test(range)) return [`depends on ${name} by ${range}`]
      const isOurs = name === 'eventflow' || name.startsWith('@eventflow/')
      if (isOurs && !names.includes(name)) return [`depends on ${name}, which is not published`]
      return isOurs && range !== version ? [`depends on ${name} ${range}, not ${version}`] : []
    }),
    ...(json.version === version ? [] : [`has version ${json.version}, not ${version}`]),
  ]
}

/** The files that package.json names: what can be imported, its types, and commands. */
function targetsOf({ exports = {}, types, bin = {} }: PackageJson): string[] {
  const exported = Object.values(exports).flatMap((target) =>
    typeof target === 'string' ? [target] : Object.values(target),
  )
  return [...exported, ...(types ? [types] : []), ...Object.values(bin)].map((path) => path.replace(/^\.\//, ''))
}
