/** The one log that a person reads: every line with the name of who wrote it in front. */
import { printable } from '@eventflow/core'
import { painter, readable, said } from './log-line.js'

const COLOURS = ['cyan', 'magenta', 'yellow', 'green', 'blue'] as const

/** The log of one part of the stack. */
export interface Voice {
  /** Something we have to say about it. */
  say(message: string, level?: 'info' | 'warn' | 'error'): void
  /** A line that it wrote itself. */
  pass(line: string): void
}

/** Where everything is written. */
export interface Output {
  voice(name: string): Voice
  /** Text without a prefix. */
  block(text: string): void
}

/** Writes to `write`, coloured if it is a terminal that shows colours. */
export function createOutput(write: (text: string) => void, colours: boolean): Output {
  const paint = painter(colours)
  let voices = 0
  return {
    voice(name) {
      const prefix = paint(COLOURS[voices++ % COLOURS.length]!, `${name.padEnd(8)} | `)
      const lines = (text: string) => write(text.replace(/^/gm, prefix).concat('\n'))
      return {
        say: (message, level = 'info') => lines(said(level, new Date(), message, paint)),
        pass: (line) => lines(readable(line, paint)),
      }
    },
    block: (text) => write(`\n${printable(text)}\n\n`),
  }
}
