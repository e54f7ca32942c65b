/** `eventflow init`: makes a project from the template of this release. */
import { randomBytes } from 'node:crypto'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SetupError } from '@eventflow/local'
import { UsageError } from '../arguments.js'
import type { Print } from '../table.js'
import { packageJson } from './package-json.js'
import { findTarballs } from './tarballs.js'

/** Options of {@link init}. Paths are absolute. */
export interface InitOptions {
  folder: string
  /** The folder with tarballs of EventFlow's packages, if they are not to come from the registry. */
  from: string | undefined
  print: Print
}

const TEMPLATE = fileURLToPath(new URL('../../templates/app', import.meta.url))

/** npm leaves files of these names out of a package, so the template has them under others. */
const STORED_AS: Record<string, string> = { gitignore: '.gitignore', 'env.example': '.env.example' }

/** Makes the project, and prints what to do next. Nothing is written when something is wrong. */
export async function init({ folder, from, print }: InitOptions): Promise<void> {
  const name = checkedName(basename(folder))
  await checkEmpty(folder)
  const version = await versionOfThisRelease()
  const tarballs = from === undefined ? undefined : await findTarballs(from, version)

  for (const path of await filesIn(TEMPLATE)) {
    const text = await readFile(join(TEMPLATE, path), 'utf8')
    await write(join(folder, STORED_AS[path] ?? path), text.replaceAll('__NAME__', name))
  }
  await write(join(folder, 'package.json'), packageJson(name, version, tarballs))
  const roles = fileURLToPath(import.meta.resolve('@eventflow/local/postgres-roles.sql'))
  await write(join(folder, 'postgres-roles.sql'), await readFile(roles, 'utf8'))
  await write(join(folder, '.env'), withPasswords(await readFile(join(folder, '.env.example'), 'utf8')), 0o600)
  print(nextSteps(name, relative(process.cwd(), folder)))
}

/** A name that npm takes for a package, and that none of its dependencies has. */
function checkedName(name: string): string {
  const taken = ['node_modules', 'eventflow', 'tsx', 'typescript'].includes(name)
  if (/^[a-z0-9][a-z0-9_-]{0,213}$/.test(name) && !taken) return name
  throw new UsageError(
    taken
      ? `a project cannot be called '${name}', because that is the name of something else: choose another folder`
      : `'${name}' is not a name for a project: use a-z, 0-9, hyphens and underscores, and begin with a-z or 0-9`,
  )
}

async function checkEmpty(folder: string): Promise<void> {
  const found = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw new SetupError(`cannot make a project in ${folder}: ${error.message}`)
  })
  if (found.length === 0) return
  throw new SetupError(`${folder} is not empty (it has ${found[0]}): choose a new or an empty folder`)
}

async function versionOfThisRelease(): Promise<string> {
  return JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')).version
}

/** Paths of all files below a folder, from there. */
async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)))
}

async function write(path: string, text: string, mode = 0o644): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, text, { flag: 'wx', mode })
}

/** Each `<placeholder>` becomes a random password, the same one wherever the placeholder stands. */
function withPasswords(text: string): string {
  const passwords = new Map<string, string>()
  return text.replace(/<[a-z-]+>/g, (placeholder) => {
    const password = passwords.get(placeholder) ?? randomBytes(32).toString('hex')
    passwords.set(placeholder, password)
    return password
  })
}

function nextSteps(name: string, path: string): string {
  return `${name} is ready. Next:

  cd ${path || '.'}
  npm install
  npm test       # the event type against a real pipeline
  npm start      # the whole pipeline on this machine

README.md in there says more.`
}
