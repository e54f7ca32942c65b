/** Which requests count as local. */
import type { IncomingMessage } from 'node:http'
import { expect, test } from '@jest/globals'
import { whyForeign } from './keyless.js'

const from = (remoteAddress: string | undefined) =>
  whyForeign({ socket: { remoteAddress }, headers: { host: 'localhost:8000' }, url: '/' } as unknown as IncomingMessage)

test.each(['127.0.0.1', '127.9.8.7', '::1', '::ffff:127.0.0.1'])('%s is local', (address) => {
  expect(from(address)).toBeUndefined()
})

test.each(['10.0.0.1', '::ffff:10.0.0.1', 'fe80::1', '1127.0.0.1', undefined])('%s is not local', (address) => {
  expect(from(address)).toBe('comes from another address')
})
