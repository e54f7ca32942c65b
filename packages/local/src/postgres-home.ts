/** Where the data of Postgres is, and which account runs it: Postgres refuses to run as root. */
import { createHash } from 'node:crypto'
import { chmod, chown, mkdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { run } from './run.js'
import { SetupError } from './setup-error.js'

/** Where root's data goes when it cannot be in the folder asked for. */
const ROOTS_HOME = '/var/lib/eventflow'

/** Who runs a process; without ids, the account that we are ourselves. */
export interface Account {
  uid?: number
  gid?: number
}

/** A folder that is there, and that `account` may write to. */
export interface Home {
  dir: string
  account: Account
}

/**
 * For an ordinary user: `dir`, and nothing else to think about. For root: an account without power runs Postgres, and
 * the data is in `dir` if that account can get there. In a clone under /root it cannot; then the data is under
 * /var/lib/eventflow, in a folder that belongs to `dir`, and the log says so.
 */
export async function findHome(dir: string, log: (line: string) => void): Promise<Home> {
  if (process.getuid?.() !== 0) return settle(dir, {})
  await mkdir(dirname(dir), { recursive: true })
  const usual = await powerlessAccount()
  for (const account of [await ownerOf(dir), usual]) {
    if (account && (await canEnter(dirname(dir), account))) return settle(dir, account)
  }
  const elsewhere = join(ROOTS_HOME, createHash('sha256').update(dir).digest('hex').slice(0, 12))
  await mkdir(ROOTS_HOME, { recursive: true })
  await chmod(ROOTS_HOME, 0o755) // whatever the umask of root
  log(`Postgres does not run as root, and no other account can enter ${dirname(dir)}: its data is in ${elsewhere}`)
  return settle(elsewhere, (await ownerOf(elsewhere)) ?? usual)
}

async function settle(dir: string, account: Account): Promise<Home> {
  try {
    await mkdir(dir, { recursive: true })
    await giveTo(account, dir)
  } catch (error) {
    throw new SetupError(`Postgres cannot have its data in ${dir}: ${(error as Error).message}`)
  }
  return { dir, account }
}

/** Makes a file or folder belong to the account. */
export async function giveTo({ uid, gid }: Account, path: string): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid)
}

/** `postgres` where there is one, else `nobody`: no account is made on anybody's machine. */
async function powerlessAccount(): Promise<Account> {
  for (const name of ['postgres', 'nobody']) {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])])
    if (uid.ok && gid.ok) return { uid: Number(uid.output), gid: Number(gid.output) }
  }
  throw new SetupError('Postgres does not run as root: start as an ordinary user, or set DATABASE_URL')
}

/** The account that has used the folder before, if there is one and it is not root. */
async function ownerOf(dir: string): Promise<Account | undefined> {
  const found = await stat(dir).catch(() => undefined)
  return found && found.uid !== 0 ? { uid: found.uid, gid: found.gid } : undefined
}

async function canEnter(dir: string, account: Account): Promise<boolean> {
  return (await run('test', ['-x', dir], { ...account, cwd: '/' })).ok
}
