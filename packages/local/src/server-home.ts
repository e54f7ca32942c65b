/** Where a server has its data, and which account runs it: never root. */
import { createHash } from 'node:crypto'
import { chmod, chown, mkdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run } from './run.js'
import { SetupError } from './setup-error.js'

/** Where root's data goes if the requested folder is out of reach. */
const ROOTS_HOME = '/var/lib/eventflow'

/** The account of a process; without ids, our own account. */
export interface Account {
  uid?: number
  gid?: number
}

/**
 * The folder of a server. It belongs to our account, holds the passwords and the log, and other accounts can read
 * nothing in it. The data is in a subfolder that belongs to `account`.
 */
export interface Home {
  dir: string
  data: string
  account: Account
}

/**
 * For an ordinary user: `dir`. For root: an account without privileges runs the server, and its folder is `dir` if that
 * account can reach it. In a clone under /root it cannot; then the folder is under /var/lib/eventflow, one for each
 * `dir`, and the log says so.
 */
export async function findHome(name: string, dir: string, log: (line: string) => void): Promise<Home> {
  if (process.getuid?.() !== 0) return settle(name, dir, {})
  await mkdir(dirname(dir), { recursive: true })
  const usual = await powerlessAccount(name)
  for (const account of [await ownerOf(dir), usual]) {
    if (account && (await canEnter(dirname(dir), account))) return settle(name, dir, account)
  }
  const elsewhere = join(ROOTS_HOME, createHash('sha256').update(dir).digest('hex').slice(0, 12))
  await mkdir(ROOTS_HOME, { recursive: true })
  await chmod(ROOTS_HOME, 0o755) // also with another umask
  log(`${name} does not run as root, and its account cannot enter ${dirname(dir)}: its data is in ${elsewhere}`)
  return settle(name, elsewhere, (await ownerOf(elsewhere)) ?? usual)
}

/** The other account can pass through the folder to its data, but cannot list it. */
async function settle(name: string, dir: string, account: Account): Promise<Home> {
  try {
    await mkdir(dir, { recursive: true })
    await giveTo({ uid: process.getuid?.(), gid: process.getgid?.() }, dir)
    await chmod(dir, account.uid === undefined ? 0o700 : 0o711)
  } catch (error) {
    throw new SetupError(`${name} cannot use ${dir} for its data: ${(error as Error).message}`)
  }
  return { dir, data: join(dir, 'data'), account }
}

/** Gives the account sole access to a folder that is empty or missing. */
export async function makeFolderFor(account: Account, path: string): Promise<void> {
  await mkdir(path, { recursive: true })
  await giveTo(account, path)
  await chmod(path, 0o700)
}

/** Changes the owner of a file or folder to the account. */
export async function giveTo(
  { uid, gid }: { uid?: number | undefined; gid?: number | undefined },
  path: string,
): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid)
}

/** `postgres` if it exists, else `nobody`: no account is created. */
async function powerlessAccount(name: string): Promise<Account> {
  for (const account of ['postgres', 'nobody']) {
    const [uid, gid] = await Promise.all([run('id', ['-u', account]), run('id', ['-g', account])])
    if (uid.ok && gid.ok) return { uid: Number(uid.output), gid: Number(gid.output) }
  }
  const variable = name === 'Redis' ? 'REDIS_URL' : 'DATABASE_URL'
  throw new SetupError(`${name} does not run as root: start as an ordinary user, or set ${variable}`)
}

/** The account whose data is in the folder, if there is data and the account is not root. */
async function ownerOf(dir: string): Promise<Account | undefined> {
  const found = await stat(join(dir, 'data')).catch(() => undefined)
  return found && found.uid !== 0 ? { uid: found.uid, gid: found.gid } : undefined
}

async function canEnter(dir: string, account: Account): Promise<boolean> {
  return (await run('test', ['-x', dir], { ...account, cwd: '/' })).ok
}
