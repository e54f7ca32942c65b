/** Where results are written: a stream, or a pager where they are longer than the screen. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Writable } from 'node:stream'

export interface Sink {
  /** Writes; what it gives resolves when there is room again, and is nothing while there is. */
  write(text: string): Promise<void> | undefined
  /** Resolves when all is written, and read where there is a pager. */
  end(): Promise<void>
}

/** Writes to a stream, and goes on when that is closed. */
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

/** What a pager needs to know. */
export interface Paging {
  /** A command of the shell. */
  pager: string
  /** Lines of the screen. */
  rows: number
  env: NodeJS.ProcessEnv
  /** The reader has seen enough. */
  onQuit: () => void
}

/** Writes to a terminal what fits on its screen, and gives a pager what does not. */
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
