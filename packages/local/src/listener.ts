/** Finds out which account listens on a port of this machine. */
import { readFile } from 'node:fs/promises'
import { platform } from 'node:os'

/** The state of a socket that listens, in proc_net_tcp(5). */
const LISTEN = '0A'
const LOOPBACK = '0100007F'

/**
 * Whether a process of one of these accounts listens on a port of 127.0.0.1. A process of another account could listen
 * there to receive data meant for a server that has ended, such as its password. Known only on Linux; elsewhere assumed
 * to be true.
 */
export async function isListener(port: number, uids: readonly (number | undefined)[]): Promise<boolean> {
  if (platform() !== 'linux') return true
  const address = `${LOOPBACK}:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const sockets = (await readFile('/proc/net/tcp', 'utf8')).split('\n').map((line) => line.trim().split(/\s+/))
  return sockets.some(([, local, , state, , , , uid]) => {
    return local === address && state === LISTEN && uids.includes(Number(uid))
  })
}
