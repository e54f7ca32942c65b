/** The destination of results: a stream, or a pager if they are longer than the screen. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Writable } from 'node:stream'

export interface Sink {
  /** Writes a text. If the buffer is full, returns a promise that resolves when there is room again. */
  write(text: string): Promise<void> | undefined
  /** Resolves when everything is written and, with a pager, read. */
  end(): Promise<void>
}

/** Creates a sink that writes to a stream, and ignores that it is closed. */
export function streamSink(out: Writable): Sink {
  let room: Promise<void> | undefined
  const untilRoom = () =>
    new Promise<void>((resolve) => {
      const go = () => {
        room = undefined
        for (const event of ['drain', 'close', 'error']) out.off(event, go)
        resolve()
      }
      for (const event of ['drain', 'close', 'error']) out.on(event, go)
    })
  return {
    write(text) {
      if (out.destroyed || out.write(text)) return undefined
      room ??= untilRoom()
      return room
    },
    end: async () => {},
  }
}

/** The parameters of a pager. */
export interface Paging {
  /** A shell command. */
  pager: string
  /** The lines of the screen. */
  rows: number
  env: NodeJS.ProcessEnv
  /** Called when the reader has quit the pager. */
  onQuit: () => void
}

/** Creates a sink that writes results to a terminal if they fit on its screen, or else to a pager. */
export function pagedSink(out: Writable, { pager, rows, env, onQuit }: Paging): Sink {
  let [held, lines] = ['', 0]
  let paged: Sink | undefined
  let ended: Promise<unknown> | undefined
  let input: Writable | undefined
  return {
    write(text) {
      if (paged) return paged.write(text)
      held += text
      lines += text.split('\n').length - 1
      if (lines < rows) return undefined
      const child = spawn(pager, { shell: true, stdio: ['pipe', 'inherit', 'inherit'], env: { LESS: 'FRSX', ...env } })
      input = child.stdin
      input.on('error', () => {})
      ended = once(child, 'close').catch(() => {})
      void ended.then(onQuit)
      paged = streamSink(input)
      return paged.write(held)
    },
    async end() {
      if (!paged) return void out.write(held)
      input!.end()
      await ended
    },
  }
}
