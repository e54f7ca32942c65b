/**
 * Locks a spool for one process: a file beside it holds the number of the owning process.
 *
 * The lock has generations, `….lock.1`, `….lock.2`, …, of which the highest counts. A process that finds the owner dead
 * creates the next generation. Of several that try at once only one succeeds, so a lock just taken cannot be taken
 * again.
 */
import { randomUUID } from 'node:crypto'
import { link, readdir, readFile, unlink, writeFile } from 'node:fs/promises'
import { basename, dirname, resolve } from 'node:path'

/**
 * The locks of this process. In a container, the process after a crash often has the same number: the file cannot tell
 * them apart.
 */
const held = new Set<string>()

/**
 * Takes the lock of the file at `path`, also from a process that ended without releasing it. Returns the function that
 * releases it.
 * @throws {Error} when a live process holds it
 */
export async function takeLock(path: string): Promise<() => Promise<void>> {
  const file = resolve(path)
  if (held.has(file)) throw new Error(`the spool ${path} is already in use by this process`)
  held.add(file)
  const note = `${file}.${randomUUID()}`
  try {
    await writeFile(note, String(process.pid))
    const lock = await takeNext(file, note)
    return async () => {
      await writeFile(lock, '')
      held.delete(file)
    }
  } catch (error) {
    held.delete(file)
    throw error
  } finally {
    await unlink(note)
  }
}

/** Links `note` as the next generation: a link appears whole or not at all, so no process ever reads half a number. */
async function takeNext(file: string, note: string): Promise<string> {
  while (true) {
    const before = await generations(file)
    const latest = before.at(-1) ?? 0
    const owner = latest === 0 ? '' : await readFile(`${file}.lock.${latest}`, 'utf8').catch(() => '')
    if (isAnotherAlive(Number(owner))) {
      throw new Error(`the spool ${file} is in use by process ${owner}: every process needs its own`)
    }
    const mine = `${file}.lock.${latest + 1}`
    if (!(await linked(note, mine))) continue
    if ((await generations(file)).at(-1) === latest + 1) {
      for (const old of before) await unlink(`${file}.lock.${old}`).catch(() => undefined)
      return mine
    }
    await unlink(mine)
  }
}

async function generations(file: string): Promise<number[]> {
  const prefix = `${basename(file)}.lock.`
  const names = (await readdir(dirname(file))).filter((name) => name.startsWith(prefix))
  return names.map((name) => Number(name.slice(prefix.length))).sort((a, b) => a - b)
}

async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

/** Whether this is the number of a living process other than this one. */
function isAnotherAlive(pid: number): boolean {
  if (pid === 0 || pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
