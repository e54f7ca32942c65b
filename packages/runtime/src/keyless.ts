/**
 * Requests without an API key, where allowed: only from programs on this machine, and never from a web page or through
 * a proxy.
 */
import type { IncomingMessage } from 'node:http'

const LOOPBACK_ADDRESS = /^(::1|(::ffff:)?127(\.\d{1,3}){3})$/

/**
 * The owner of any other name can point it to this machine (DNS rebinding); that owner's pages would then have the same
 * origin as we.
 */
const LOOPBACK_HOST = /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?$/i

/** Whether only programs on this machine can reach a server that listens there. */
export const isLoopback = (host: string) => /^(localhost|127(\.\d{1,3}){3}|::1)$/.test(host)

/** Headers that only a proxy sets: the proxy may be on this machine, but its client is not. */
const OF_PROXIES = new Set([
  ...['forwarded', 'via', 'cdn-loop', 'true-client-ip', 'fastly-client-ip', 'fly-client-ip'],
  ...['cf-connecting-ip', 'cf-ray', 'cf-visitor', 'x-real-ip', 'x-client-ip', 'x-cluster-client-ip', 'x-proxyuser-ip'],
])
const ALSO_OF_PROXIES = /^x-(forwarded($|-)|original-|envoy-)/

/** Maximum characters of a header's name and value in a message. */
const SHOWN = 100

/**
 * Why a request may not be from a program on this machine, in words that follow "this one"; `undefined` if it is.
 * Browsers set `Origin` and `Sec-Fetch-Site` (Fetch Metadata), which pages cannot change.
 */
export function whyForeign({ socket, headers, url = '' }: IncomingMessage): string | undefined {
  const { host = '', origin } = headers
  const site = headers['sec-fetch-site']
  if (!LOOPBACK_ADDRESS.test(socket.remoteAddress ?? '')) return 'comes from another address'
  if (!url.startsWith('/')) return 'has an absolute URL in its first line, like a request to a proxy'
  if (!LOOPBACK_HOST.test(host)) return `is for the host ${shown(host)}`
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) {
    return `was sent by a page from ${shown(origin)}`
  }
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return 'was sent by a page from another site'
  for (const name in headers) {
    if (!OF_PROXIES.has(name) && !(name.startsWith('x-') && ALSO_OF_PROXIES.test(name))) continue
    return `came through a proxy, as its header ${shown(name)} shows`
  }
  return undefined
}

const shown = (text: string) => (text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text || '""')
