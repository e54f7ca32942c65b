/** Reads processor time, memory and children of processes on Linux. Elsewhere nothing is known. */
import { readdirSync, readFileSync } from 'node:fs'

/** The unit of times in /proc: 100 a second on every Linux that runs Node. */
const TICKS_PER_SECOND = 100

interface Stat {
  parent: number
  /** Its own time, and that of children that have ended. */
  seconds: number
}

/**
 * The processor time of a process and of all its descendants, in seconds, including those that have ended and were
 * waited for. 0 for a process that is gone.
 */
export function cpuSecondsOf(pid: number): number {
  const stats = readStats()
  return familyOf(pid, stats).reduce((sum, member) => sum + (stats.get(member)?.seconds ?? 0), 0)
}

/** The anonymous memory of a process and its descendants (RssAnon), in bytes: no files, nothing shared. */
export function ownMemoryOf(pid: number): number {
  return familyOf(pid, readStats()).reduce((sum, member) => sum + anonymousBytes(member), 0)
}

/** The processor time that the whole machine has used since boot, in seconds: everything except idle time (proc(5)). */
export function machineCpuSeconds(): number {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] =
    /^cpu +(.*)$/m
      .exec(readText('/proc/stat') ?? '')?.[1]
      ?.split(' ')
      .map(Number) ?? []
  return (user + nice + system + irq + softirq) / TICKS_PER_SECOND
}

/** The parent of this process; `undefined` if unknown. */
export function parentOf(pid: number): number | undefined {
  return readStat(pid)?.parent
}

function familyOf(pid: number, stats: ReadonlyMap<number, Stat>): number[] {
  const children = [...stats].filter(([, { parent }]) => parent === pid).map(([child]) => child)
  return [pid, ...children.flatMap((child) => familyOf(child, stats))]
}

function readStats(): Map<number, Stat> {
  const stats = new Map<number, Stat>()
  for (const name of entriesOf('/proc')) {
    const stat = /^\d+$/.test(name) ? readStat(Number(name)) : undefined
    if (stat) stats.set(Number(name), stat)
  }
  return stats
}

/** The fields follow the name of the program, which is in parentheses and may contain anything (proc(5)). */
function readStat(pid: number): Stat | undefined {
  const text = readText(`/proc/${pid}/stat`)
  if (!text) return undefined
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
  return { parent: Number(fields[1]), seconds: ticks / TICKS_PER_SECOND }
}

function anonymousBytes(pid: number): number {
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(readText(`/proc/${pid}/status`) ?? '')?.[1]
  return Number(kilobytes ?? 0) * 1_024
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

/** A process may end during the look. */
function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return undefined
  }
}
