/** Checks of the host: versions of Node, clocks, disks. */
import type { Clock, Disk } from './facts.js'
import { error, type Finding, findings, warning } from './finding.js'

export function checkNode(version: string): Finding[] {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  return findings('node version', version, [
    (major < 20 || (major === 20 && minor < 19)) &&
      error(`${version} is too old`, 'install Node 20.19 or newer, https://nodejs.org/en/download'),
  ])
}

/**
 * Ages are computed across clocks: event times come from this host, times of acceptance from Postgres, times of stream
 * entries from Redis.
 */
export function checkClock(check: string, { ahead, give }: Clock): Finding[] {
  const off = Math.max(0, Math.abs(ahead) - give)
  const where = `${Math.abs(ahead).toFixed(3)} s ${ahead < 0 ? 'behind' : 'ahead of'} this host's, ± ${give.toFixed(3)} s`
  const fix = 'timedatectl set-ntp true   # on both machines'
  return findings(check, where, [
    off > 10
      ? error(`${where}: ages and retry times are off by as much`, fix)
      : off > 1 && warning(`${where}: ages are off by as much`, fix),
  ])
}

export function checkDisk(check: string, disk: Disk | undefined, also = ''): Finding[] {
  if (!disk) return [{ check, level: 'ok', message: `not visible from this host${also}` }]
  const share = disk.free / disk.size
  const message = `${megabytes(disk.free)} free, ${Math.round(100 * share)} %${also}`
  const fix = 'free disk space, or set EVENTFLOW_RETENTION_SETTLED_DAYS on the workers to delete old events'
  return findings(check, message, [share < 0.05 ? error(message, fix) : share < 0.1 && warning(message, fix)])
}

export function megabytes(bytes: number): string {
  return bytes < 10 * 2 ** 30 ? `${Math.round(bytes / 2 ** 20)} MiB` : `${Math.round(bytes / 2 ** 30)} GiB`
}
