/** EventFlow's packages as tarballs in a folder, for machines without a registry that has them. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { SetupError } from '@eventflow/local'

/** What a project names in its package.json. */
const NEEDED = ['eventflow', '@eventflow/sdk', '@eventflow/testing']

/** The tarballs of this version that `npm pack` has made in the folder, by the name of their package. */
export async function findTarballs(folder: string, version: string): Promise<Map<string, string>> {
  const files = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new SetupError(`cannot read the folder of tarballs ${folder}: ${error.message}`)
  })
  const found = new Map<string, string>()
  for (const file of files.filter((name) => name.endsWith(`-${version}.tgz`)).sort()) {
    const [, part] = /^eventflow(?:-(.+))?$/.exec(file.slice(0, -`-${version}.tgz`.length)) ?? []
    if (file.startsWith('eventflow-')) found.set(part ? `@eventflow/${part}` : 'eventflow', join(folder, file))
  }
  const missing = NEEDED.filter((name) => !found.has(name))
  if (missing.length === 0) return found
  throw new SetupError(`${folder} has no tarball of ${missing.join(', ')} in version ${version}`)
}
