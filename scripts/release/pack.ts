/** Packs the published packages, and refuses what would not work elsewhere. */
import { execFile } from 'node:child_process'
import { mkdir, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { problemsOf } from './problems.js'
import { publishedOf, readWorkspaces } from './workspaces.js'

/** A tarball that was made. */
export interface Tarball {
  file: string
  bytes: number
}

/** What `npm pack --json` says of a tarball. */
interface Packed {
  name: string
  filename: string
  size: number
  files: { path: string }[]
}

/** Packs all published packages of the checkout into the folder, in place of those of an earlier release. */
export async function pack(root: string, version: string, folder: string): Promise<Tarball[]> {
  const published = publishedOf(await readWorkspaces(root))
  await mkdir(folder, { recursive: true })
  await removeTarballs(folder)
  const workspaces = published.flatMap(({ path }) => ['--workspace', path])
  const { stdout } = await promisify(execFile)(
    'npm',
    ['pack', '--json', '--ignore-scripts', '--pack-destination', folder, ...workspaces],
    { cwd: root, maxBuffer: 64 << 20 },
  )
  // A list, or an object by names in newer versions of npm.
  const all = Object.values<Packed>(JSON.parse(stdout))
  const names = published.map(({ json }) => json.name)
  const problems = published.flatMap(({ json }) => {
    const files = all.find(({ name }) => name === json.name)?.files.map(({ path }) => path) ?? []
    return problemsOf(json, files, { version, names }).map((problem) => `${json.name}: ${problem}`)
  })
  if (problems.length > 0) {
    await removeTarballs(folder)
    throw new Error(`these packages would not work elsewhere:\n${problems.join('\n')}`)
  }
  return all.map(({ filename, size }) => ({ file: join(folder, filename), bytes: size }))
}

async function removeTarballs(folder: string): Promise<void> {
  const ours = (await readdir(folder)).filter((name) => /^eventflow-.*\.tgz$/.test(name))
  await Promise.all(ours.map((name) => rm(join(folder, name))))
}
