/** A database server that can be taken away and brought back on its port. */
import type { LocalServer } from '@eventflow/local'

export interface Server {
  readonly url: string
  readonly port: number
  /** The folder with its data. */
  readonly dir: string
  /** Takes it away at once, as a crash would; `after` is done while it is down. Resolves when it is back. */
  crash(downMs: number, after?: (dir: string) => Promise<void>): Promise<void>
  stop(): Promise<void>
}

/** Runs a server; `launch` is told the port it must have, 0 for any. */
export async function runServer(launch: (port: number) => Promise<LocalServer>): Promise<Server> {
  let running = await launch(0)
  const { url, port, dir } = running
  return {
    url,
    port,
    dir,
    async crash(downMs, after) {
      running.kill()
      await running.exited
      await after?.(dir)
      await new Promise((resolve) => setTimeout(resolve, downMs))
      running = await launch(port)
    },
    stop: () => running.stop(),
  }
}
