/** Requests of commands to the service over HTTP: the address, the credentials, and the errors. */
import { createOperator, type Operator, RequestFailed } from '@eventflow/client'
import { SetupError } from '@eventflow/local'
import { UnreachableError } from '../addresses.js'

/** A service, and who uses it. */
export interface Service {
  url: string
  apiKey: string | undefined
  /** For the audit log, if no key identifies the user. */
  name: string
}

/** Runs `work` with a connection to the service. Rejects with UnreachableError or SetupError, which say what to do. */
export async function askService<Result>(
  service: Service,
  work: (operator: Operator) => Promise<Result>,
): Promise<Result> {
  const { url, apiKey, name } = service
  const operator = createOperator({ url, name, connections: 8, ...(apiKey && { apiKey }) })
  try {
    return await work(operator)
  } catch (error) {
    throw error instanceof RequestFailed ? explained(error, service) : error
  } finally {
    await operator.close()
  }
}

/** Converts a failed request to the error with which a command ends. */
export function explained({ problem, message }: RequestFailed, { url, apiKey }: Service): Error {
  if (!problem) {
    return new UnreachableError(
      `No answer from ${url}: ${message}\nIs it running (eventflow up)? Set another address with --url or EVENTFLOW_URL.`,
    )
  }
  const { code, status } = problem
  if (code === undefined) return new UnreachableError(`The server at ${url} is not EventFlow: ${message}`)
  if (status === 503)
    return new UnreachableError(`${url}: ${message}\nTry again in a moment, or find the cause with eventflow doctor.`)
  if (status === 401) {
    const hint = apiKey
      ? 'The service does not know the key in EVENTFLOW_API_KEY.'
      : 'Set EVENTFLOW_API_KEY to a key of this service.'
    return new SetupError(`${message}\n${hint}`)
  }
  if (status === 403) return new SetupError(`${message}\nThe key in EVENTFLOW_API_KEY lacks the scope for that.`)
  if (code === 'route-not-found')
    return new SetupError(`${message}\nIs ${url} right, and is the service as new as this command line?`)
  return new SetupError(message)
}
