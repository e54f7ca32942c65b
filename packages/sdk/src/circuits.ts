/**
 * Circuit breakers for dependencies on the network.
 * closed → open: more than half of the requests of the last 10 s failed, and there were at least `minRequests`
 * open → half-open: after `resetMs`, one request is let through
 * half-open → closed or open: when that request succeeds or fails
 */
import { EventEmitter } from 'node:events'
import { PermanentError, UnavailableError } from '@eventflow/core'
import CircuitBreaker from 'opossum'

export interface Circuit {
  name: string
  state: 'closed' | 'open' | 'half-open'
}

export interface CircuitOptions {
  /** Fewer requests than this within 10 s never open the circuit. Default: 5. */
  minRequests?: number
  /** How long the circuit stays open before one request is let through, in milliseconds. Default: 10 s. */
  resetMs?: number
}

/** Emits `change` with each circuit that changes its state. */
export const circuitChanges = new EventEmitter<{ change: [Circuit] }>()

const states = new Map<string, () => Circuit['state']>()

/** Every circuit of this process with its present state, for metrics. */
export function circuits(): Circuit[] {
  return [...states].map(([name, state]) => ({ name, state: state() }))
}

/**
 * Puts a circuit breaker around a request. While the circuit is open nothing is sent and `UnavailableError` is thrown;
 * also for requests that were in flight when it opened, and for the one that opened it. A `PermanentError` is an answer
 * about one request, not a failure of the dependency. Throws when the name is taken.
 */
export function withCircuit<Argument, Answer>(
  name: string,
  request: (argument: Argument) => Promise<Answer>,
  { minRequests = 5, resetMs = 10_000 }: CircuitOptions,
): (argument: Argument) => Promise<Answer> {
  if (states.has(name)) throw new TypeError(`there is already a circuit named '${name}': share its enricher instead`)
  const breaker = new CircuitBreaker(request, {
    name,
    timeout: false,
    volumeThreshold: minRequests,
    errorThresholdPercentage: 50,
    rollingCountTimeout: 10_000,
    resetTimeout: resetMs,
    errorFilter: (error) => error instanceof PermanentError,
    rollingPercentilesEnabled: false,
    enableSnapshots: false,
  })
  const state = () => (breaker.opened ? 'open' : breaker.halfOpen ? 'half-open' : 'closed')
  const changed = () => circuitChanges.emit('change', { name, state: state() })
  states.set(name, state)
  breaker.on('open', changed).on('halfOpen', changed).on('close', changed)
  return (argument) =>
    breaker.fire(argument).catch((error: { code?: unknown }) => {
      if (error instanceof PermanentError) throw error
      throw breaker.opened || error.code === 'EOPENBREAKER' ? new UnavailableError(name, { cause: error }) : error
    })
}
