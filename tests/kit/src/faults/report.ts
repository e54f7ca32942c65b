/** Summarizes the faults of the nemesis in a table. */
import type { FaultRecord } from './nemesis.js'

/** Faults of the pipeline's own processes, by their names. */
const PROCESS_FAULT_NAMES = /^(worker|ingest|all): /

/** One line for each kind of fault: how often, and how long the recovery took. */
export function faultTable(records: readonly FaultRecord[]): string {
  const byName = new Map<string, FaultRecord[]>()
  for (const record of records) byName.set(record.name, [...(byName.get(record.name) ?? []), record])
  const rows = [...byName].sort(([a], [b]) => a.localeCompare(b)).map(([name, group]) => row(name, group))
  const heads = ['fault', 'times', 'p50 s', 'p99 s', 'max s', 'problems']
  const processes = records.filter(({ name }) => PROCESS_FAULT_NAMES.test(name))
  return [heads, ...rows, row('all of processes', processes), row('all', records)].map(line).join('\n')
}

/**
 * The slowest recoveries, one per line, each with the other faults until it was over: most of them have more than one
 * cause.
 */
export function slowestRecoveries(records: readonly FaultRecord[], count: number): string {
  const slowest = records.filter(({ recoveryMs }) => recoveryMs !== undefined)
  slowest.sort((a, b) => b.recoveryMs! - a.recoveryMs!)
  const told = slowest.slice(0, count).map((one) => {
    const until = one.at + one.recoveryMs!
    const others = records.filter((other) => other !== one && other.at > one.at - 12_000 && other.at < until)
    const beside = others.map(({ at, name, victim }) => `${seconds(at - one.at)} s ${name} (${victim})`)
    return `${seconds(one.recoveryMs)} s from ${one.name} (${one.victim}), begun at ${seconds(one.at)} s; beside it: ${beside.join('; ')}`
  })
  return told.join('\n')
}

function row(name: string, records: readonly FaultRecord[]): string[] {
  const times = records.flatMap(({ recoveryMs }) => recoveryMs ?? []).sort((a, b) => a - b)
  const quantile = (q: number) => seconds(times[Math.min(times.length - 1, Math.floor(q * times.length))])
  const problems = records.filter(({ problem }) => problem).length
  return [name, `${records.length}`, quantile(0.5), quantile(0.99), quantile(1), `${problems || ''}`]
}

function seconds(ms: number | undefined): string {
  return ms === undefined ? '-' : (ms / 1_000).toFixed(1)
}

function line([name, ...figures]: string[]): string {
  return `${name!.padEnd(44)}${figures.map((figure) => figure.padStart(9)).join('')}`
}
