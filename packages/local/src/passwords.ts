/** Passwords of the servers' accounts: random, one for each data folder, in files that only our account can read. */
import { randomBytes } from 'node:crypto'
import { chmod, readFile, rm, writeFile } from 'node:fs/promises'

/**
 * The password in the file, after `prefix`, such as the first fields of a libpq password file; if there is none, a new
 * one of 256 random bits. If the file was removed, the next start makes another password.
 */
export async function keptPassword(file: string, prefix = ''): Promise<string> {
  const kept = await readFile(file, 'utf8').catch(() => '')
  const password = kept.startsWith(prefix) ? kept.slice(prefix.length).trim() : ''
  if (!/^[0-9a-f]{64}$/.test(password)) return makePassword(file, prefix)
  await chmod(file, 0o600)
  return password
}

async function makePassword(file: string, prefix: string): Promise<string> {
  const password = randomBytes(32).toString('hex')
  await rm(file, { force: true }) // an existing file would keep its mode
  await writeFile(file, `${prefix}${password}\n`, { mode: 0o600, flag: 'wx' })
  return password
}
