/**
 * Quick scenarios of a Redis that is rolled back at a certain point of a lane's turn: a copy that is behind takes over
 * at that moment.
 */
import type { CrashPoint } from '@eventflow/testkit'
import type { QuickScenario } from './stage.js'
import { whileFull, working } from './steps.js'

/** Points of a turn that reads the stream, and of one that catches up and returns to the stream. */
export const POINTS: Record<string, CrashPoint> = {
  'before entries are asked for': { to: 'redis', text: 'XREADGROUP', at: 'request' },
  'entries are on the way': { to: 'redis', text: 'XREADGROUP', at: 'reply', reply: '"id":"' },
  'before a batch is written': { to: 'postgres', text: 'insert-processed', at: 'request' },
  'a batch is committed': { to: 'postgres', text: 'COMMIT', after: 'insert-processed', at: 'reply' },
  'before entries are acknowledged': { to: 'redis', text: 'xack', at: 'request' },
  'entries are acknowledged': { to: 'redis', text: 'xack', at: 'reply' },
  'before the run id is read': { to: 'redis', text: 'info', at: 'request' },
  'before events are read from Postgres': { to: 'postgres', text: 'read-unsettled', at: 'request' },
  'events are read from Postgres': { to: 'postgres', text: 'read-unsettled', at: 'reply' },
  'before the stream is said to be whole': { to: 'postgres', text: 'mark-whole', at: 'request' },
  'the stream is said to be whole': { to: 'postgres', text: 'mark-whole', at: 'reply' },
  'what is pending is claimed': { to: 'redis', text: 'xautoclaim', at: 'reply' },
}

/** Redis is rolled back there, while events of a key arrive, some of them past the stream. */
export function rolledBackAt({ to, ...wire }: CrashPoint): QuickScenario {
  return async (stage) => {
    const { links, clients, snapshotRedis, claim } = stage
    const key = 'rolled back'
    await working(stage)
    const failOver = await snapshotRedis()
    let rolledBack: Promise<void> | undefined
    links[to].tripwire = {
      ...wire,
      spring: () => {
        links[to].reset()
        rolledBack = failOver()
      },
    }
    for (let n = 0; n < 50 && !rolledBack; n++) {
      await clients.send([{ key }, { key }])
      if (n % 8 === 7) await whileFull(stage, () => clients.send([{ key }])).catch(() => {}) // Redis may be down
    }
    claim('it came to the point', rolledBack !== undefined)
    await rolledBack
    for (let n = 0; n < 3; n++) await clients.send([{ key }])
  }
}
