/** What commands that use the service share: its address, their credentials, and their output. */
import type { Operator } from '@eventflow/client'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { createProgress, type Progress, type ProgressOutput } from '../progress.js'
import type { Print } from '../table.js'
import { askService, type Service } from './ask-service.js'

/** The environment of the commands. */
export interface Surroundings {
  apiKey: string | undefined
  /** The name of the user. */
  name: string
  /** The URL of the service if no option or variable gives one. */
  findUrl: (dataDir: string) => Promise<string>
  stdin: NodeJS.ReadStream
  stderr: ProgressOutput
  print: Print
  note: Print
  /** Asks the user at the terminal; undefined without a terminal. */
  confirm: ((question: string) => Promise<boolean>) | undefined
  /** Stops long-running work. Listens for signals from then on. */
  stop: () => AbortSignal
  /** Sets the exit code of the process. */
  end: (code: number) => void
}

/** The options of a command that uses the service. */
interface ServiceOptions {
  url?: string
  dataDir: string
}

/** Declares commands that use the service. */
export interface Asking {
  around: Surroundings
  /** Declares a command that uses the service. */
  command(parent: Command, words: string, description: string): Command
  serviceOf(options: ServiceOptions): Promise<Service>
  /**
   * Returns the action of a command that runs `work` with a connection, the arguments and the options; its result is
   * the exit code.
   */
  asks<Given extends readonly unknown[]>(
    work: (operator: Operator, ...given: Given) => Promise<number>,
  ): (...given: unknown[]) => Promise<void>
  /** For long-running commands. */
  long(): { print: Print; note: Print; progress: Progress; stop: AbortSignal }
}

export function createAsking(around: Surroundings): Asking {
  const { apiKey, name, print, note, stderr } = around
  const serviceOf = async ({ url, dataDir }: ServiceOptions): Promise<Service> => ({
    ...{ url: url ?? (await around.findUrl(dataDir)), apiKey, name },
  })

  function asks<Given extends readonly unknown[]>(work: (operator: Operator, ...given: Given) => Promise<number>) {
    return async (...given: unknown[]) => {
      // Commander passes the arguments, then the options, then the command.
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
