/** A database server that can be taken away and brought back, or replaced by another. */
import type { LocalServer } from '@eventflow/local'

export interface Server {
  readonly url: string
  readonly port: number
  /** Takes it away at once, as a crash would; `meanwhile` is told its folder. Resolves when it is back on its port. */
  crash(downMs: number, meanwhile?: (dir: string) => Promise<unknown>): Promise<void>
  /** Starts another server in a folder of its own, makes it ready by `prepare`, and only then ends the present one. */
  replace(prepare: (next: LocalServer) => Promise<void>): Promise<void>
  stop(): Promise<void>
}

/** Runs a server in a folder; `launch` is told the port it must have, 0 for any. */
export async function runServer(
  dir: string,
  launch: (place: { dir: string; port: number }) => Promise<LocalServer>,
): Promise<Server> {
  let running = await launch({ dir, port: 0 })
  let replaced = 0
  return {
    get url() {
      return running.url
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
      const next = await launch({ dir: `${dir}-${++replaced}`, port: 0 })
      await prepare(next)
      before.kill()
      await before.exited
      running = next
    },
    stop: () => running.stop(),
  }
}
