/** The combined log for people: every line begins with the name of its source. */
import { printable } from '@eventflow/core'
import { painter, readable, said } from './log-line.js'

const COLOURS = ['cyan', 'magenta', 'yellow', 'green', 'blue'] as const

/** The log of one part of the stack. */
export interface Voice {
  /** Logs a message of `up` about the part. */
  say(message: string, level?: 'info' | 'warn' | 'error'): void
  /** Logs a line that the part wrote. */
  pass(line: string): void
}

/** The destination of all output. */
export interface Output {
  voice(name: string): Voice
  /** Text without a prefix. */
  block(text: string): void
}

/** Creates an output that writes to `write`, with or without colours. */
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
