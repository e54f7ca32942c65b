/** What commands that talk to the service have in common: where it is, as whom they ask, and what they print to. */
import type { Operator } from '@eventflow/client'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { createProgress, type Progress, type ProgressOutput } from '../progress.js'
import type { Print } from '../table.js'
import { askService, type Service } from './ask-service.js'

/** Where the commands run. */
export interface Surroundings {
  apiKey: string | undefined
  /** Who runs them. */
  name: string
  /** Where the service is when nothing says so. */
  findUrl: (dataDir: string) => Promise<string>
  stdin: NodeJS.ReadStream
  stderr: ProgressOutput
  print: Print
  note: Print
  /** Asks who sits at the terminal; missing where there is no terminal. */
  confirm: ((question: string) => Promise<boolean>) | undefined
  /** Stops what takes long. Listens from then on. */
  stop: () => AbortSignal
  /** The process is to end with this code. */
  end: (code: number) => void
}

/** What a command takes that asks the service. */
interface ServiceOptions {
  url?: string
  dataDir: string
}

/** How commands ask the service. */
export interface Asking {
  around: Surroundings
  /** A command that asks the service. */
  command(parent: Command, words: string, description: string): Command
  serviceOf(options: ServiceOptions): Promise<Service>
  /** The action of a command that runs `work` with a connection, the arguments, and the options; its result is the exit code. */
  asks<Given extends readonly unknown[]>(
    work: (operator: Operator, ...given: Given) => Promise<number>,
  ): (...given: unknown[]) => Promise<void>
  /** For what takes long. */
  long(): { print: Print; note: Print; progress: Progress; stop: AbortSignal }
}

export function createAsking(around: Surroundings): Asking {
  const { apiKey, name, print, note, stderr } = around
  const serviceOf = async ({ url, dataDir }: ServiceOptions): Promise<Service> => ({
    ...{ url: url ?? (await around.findUrl(dataDir)), apiKey, name },
  })

  function asks<Given extends readonly unknown[]>(work: (operator: Operator, ...given: Given) => Promise<number>) {
    return async (...given: unknown[]) => {
      // Commander gives the arguments, then the options, then the command.
      const [args, options] = [given.slice(0, -2), given.at(-2) as ServiceOptions]
      const all = [...args, { ...options, print, note }] as unknown as Given
      around.end(await askService(await serviceOf(options), (operator) => work(operator, ...all)))
    }
  }

  return {
    around,
    serviceOf,
    asks,
    command: (parent, words, description) =>
      parent
        .command(words)
        .description(description)
        .addOption(new Option('--url <url>', 'address of the service').env('EVENTFLOW_URL').argParser(httpUrl))
        .option('--data-dir <folder>', 'data folder of a running eventflow up, if no URL is given', '.eventflow')
        .option('--json', 'print JSON'),
    long: () => ({ print, note, progress: createProgress(stderr), stop: around.stop() }),
  }
}

function httpUrl(given: string): string {
  if (/^https?:/.test(given) && URL.canParse(given)) return given
  throw new InvalidArgumentError('The URL must begin with http:// or https://.')
}
