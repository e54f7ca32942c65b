/** A small disk that can fill up, for the tables of a stack: a tmpfs as a tablespace. Only root may mount one. */
import { execFile } from 'node:child_process'
import { chown, mkdtemp, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Stack } from './stack.js'

export interface SmallDisk {
  /** Fills all remaining space. */
  fill(): Promise<void>
  /** Frees the space. */
  free(): Promise<void>
  /** Moves the tables back, and removes the disk. */
  remove(): Promise<void>
}

const run = promisify(execFile)

/**
 * Moves every table and index of the pipeline to a disk of this many megabytes. The WAL stays where it is: Postgres
 * does not survive a full WAL disk. Throws if nothing can be mounted.
 */
export async function moveToSmallDisk({ dir, db }: Stack, megabytes: number): Promise<SmallDisk> {
  const place = await mkdtemp(join(tmpdir(), 'eventflow-disk-'))
  await run('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'tmpfs', place]).catch(async (cause) => {
    await rmdir(place)
    throw new Error('a small disk cannot be mounted; it takes root, and the right to mount', { cause })
  })
  const { uid, gid } = await stat(join(dir, 'postgres/data'))
  await chown(place, uid, gid)
  await db.query(`CREATE TABLESPACE small LOCATION '${place}'`)
  const move = async (from: string, to: string) => {
    for (const kind of ['TABLE', 'INDEX'])
      await db.query(`ALTER ${kind} ALL IN TABLESPACE ${from} SET TABLESPACE ${to}`)
  }
  await move('pg_default', 'small')
  const ballast = join(place, 'ballast')

  return {
    async fill() {
      const piece = Buffer.alloc(64 * 1024)
      try {
        for (;;) await writeFile(ballast, piece, { flag: 'a' })
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
      }
    },
    free: () => rm(ballast, { force: true }),
    async remove() {
      await move('small', 'pg_default')
      await db.query('CHECKPOINT') // files of moved tables exist until then
      await db.query('DROP TABLESPACE small')
      await run('umount', ['--lazy', place]) // backends may still hold deleted files
      await rmdir(place)
    },
  }
}
