/** A database server that can be stopped and brought back, or replaced by another. */
import { copyFile, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { LocalDatabase } from '@eventflow/local'

export interface Server {
  readonly url: string
  /** The URL for an administrator. */
  readonly adminUrl: string
  readonly port: number
  /** Kills it at once, as a crash would; calls `meanwhile` with its folder. Resolves when it is back on its port. */
  crash(downMs: number, meanwhile?: (dir: string) => Promise<unknown>): Promise<void>
  /** Starts another server in a new folder, sets it up with `prepare`, and only then ends the present one. */
  replace(prepare: (next: LocalDatabase) => Promise<void>): Promise<void>
  stop(): Promise<void>
}

/** Runs a server in a folder; `launch` gets the required port, 0 for any. */
export async function runServer(
  dir: string,
  launch: (place: { dir: string; port: number }) => Promise<LocalDatabase>,
): Promise<Server> {
  let running = await launch({ dir, port: 0 })
  let replaced = 0
  return {
    get url() {
      return running.url
    },
    get adminUrl() {
      return running.adminUrl
    },
    get port() {
      return running.port
    },
    async crash(downMs, meanwhile) {
      const { dir, port } = running
      running.kill()
      await running.exited
      await meanwhile?.(dir)
      await new Promise((resolve) => setTimeout(resolve, downMs))
      running = await launch({ dir, port })
    },
    async replace(prepare) {
      const before = running
      const nextDir = `${dir}-${++replaced}`
      await copyPasswords(dir, nextDir)
      const next = await launch({ dir: nextDir, port: 0 })
      await prepare(next)
      before.kill()
      await before.exited
      running = next
    },
    stop: () => running.stop(),
  }
}

/** Its clients use the old ones. */
async function copyPasswords(from: string, to: string): Promise<void> {
  await mkdir(to)
  for (const file of await readdir(from)) {
    if (file.endsWith('.password')) await copyFile(join(from, file), join(to, file))
  }
}
