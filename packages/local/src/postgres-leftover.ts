/** Cleans up after a Postgres that outlived the process that had started it. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { run } from './run.js'
import { SetupError } from './setup-error.js'

/**
 * Ensures that no Postgres runs on the data folder. Stops a running one. Removes a pid file whose process number now
 * belongs to another program: Postgres itself would take that for another Postgres.
 */
export async function stopLeftover(data: string, log: (line: string) => void): Promise<void> {
  const pidFile = join(data, 'postmaster.pid')
  const pid = Number.parseInt(await readFile(pidFile, 'utf8').catch(() => ''), 10)
  if (!pid || !isTaken(pid)) return // no pid file, or its process is gone: Postgres handles that
  if (!(await runsOn(data, pid))) return rm(pidFile, { force: true })

  log(`stopping a Postgres (pid ${pid}) left behind by an earlier run`)
  await end(data, pid)
}

/** A fast shutdown; after 10 s an immediate one, from which Postgres recovers. */
async function end(data: string, pid: number): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    try {
      process.kill(pid, signal)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return
      throw new SetupError(`a Postgres (pid ${pid}) of another user is running on ${data}: stop it first`)
    }
    for (const deadline = Date.now() + 10_000; Date.now() < deadline; await delay(50)) {
      if (!(await runsOn(data, pid))) return
    }
  }
  throw new SetupError(`a Postgres (pid ${pid}) is running on ${data} and does not stop: kill it first`)
}

function isTaken(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Whether the process is a Postgres on this very folder. A zombie has no command line. */
async function runsOn(data: string, pid: number): Promise<boolean> {
  const fromProc = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => undefined)
  const command = fromProc ?? (await run('ps', ['-o', 'command=', '-p', `${pid}`])).output
  return command.includes(data)
}
