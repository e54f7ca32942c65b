/** Evidence, while a process is down, that it died at the intended crash point. */
import type {
  Evidence,
  GROUP_CRASH_POINTS,
  INGEST_CRASH_POINTS,
  JOIN_CRASH_POINTS,
  Stack,
  WINDOW_CRASH_POINTS,
  WORKER_CRASH_POINTS,
} from '@eventflow/testkit'
import { expect } from '@jest/globals'
import { arrays, entriesIn, eventIds, idOf, keys, lookInto, uuids } from './traffic.js'

type Proof = (evidence: Evidence) => Promise<void>
type Proofs<Points> = Record<keyof Points, Proof>

/** For ingest. */
export function ingestProofs(stack: Stack): Proofs<typeof INGEST_CRASH_POINTS> {
  const { count, rowsIn } = lookInto(stack)
  const { before, after } = publicationProofs(stack)
  return {
    'before the INSERT reaches Postgres': async ({ request }) => {
      expect(uuids(request).length).toBeGreaterThan(0)
      expect(await rowsIn('raw_events', uuids(request))).toBe(0)
    },
    'the INSERT is committed, its answer on the way': async ({ request }) => {
      expect(uuids(request).length).toBeGreaterThan(0)
      expect(await rowsIn('raw_events', uuids(request))).toBe(uuids(request).length)
    },
    'before the XADD reaches Redis': before,
    'the XADD is done, its answer on the way': after,
    'before the mark reaches Postgres': async () => {
      const unsettled = 'raw_events r WHERE NOT EXISTS (SELECT FROM processed_events p WHERE p.seq = r.seq)'
      expect(await count(unsettled)).not.toBe(0)
      expect(await count('partition_marks WHERE dirty > 0')).toBe(0)
    },
  }
}

/** Before an XADD, and after it. */
function publicationProofs(stack: Stack): { before: Proof; after: Proof } {
  const { rowsIn, inStreams } = lookInto(stack)
  return {
    async before({ request }) {
      const published = eventIds(request)
      expect(published.length).toBeGreaterThan(0)
      expect(await rowsIn('raw_events', published)).toBe(published.length)
      expect((await inStreams()).events.filter((id) => published.includes(id))).toEqual([])
      expect(await rowsIn('processed_events', published)).toBe(0)
    },
    async after({ request }) {
      const published = eventIds(request)
      expect(published.length).toBeGreaterThan(0)
      const { events } = await inStreams()
      const settled = published.filter((id) => !events.includes(id)) // by a worker, meanwhile
      expect(await rowsIn('processed_events', settled)).toBe(settled.length)
    },
  }
}

/** For a worker that processes events. */
export function workerProofs(stack: Stack): Proofs<typeof WORKER_CRASH_POINTS> {
  const { count, rowsIn, inStreams, inHand } = lookInto(stack)
  return {
    'entries are delivered, and on the way': async ({ reply }) => {
      expect(eventIds(reply).length).toBeGreaterThan(0)
      expect(await rowsIn('processed_events', eventIds(reply))).toBe(0)
      // The reply has the pending entries of every stream, without the names of the streams.
      expect((await inStreams()).entries.map(idOf)).toEqual(expect.arrayContaining(entriesIn(reply).map(idOf)))
    },
    'entries in hand, before the BEGIN': async () => {
      expect((await inHand()).length).toBeGreaterThan(0)
    },
    'inside the transaction, after the INSERT': async ({ request }) => {
      expect(uuids(request).length).toBeGreaterThan(0)
      expect(await rowsIn('processed_events', uuids(request))).toBe(0)
    },
    'before the COMMIT reaches Postgres': async ({ request }) => {
      expect(uuids(request).length).toBeGreaterThan(0)
      expect(await rowsIn('processed_events', uuids(request))).toBe(0)
    },
    'committed, the answer on the way': async ({ request }) => {
      expect(await rowsIn('processed_events', uuids(request))).toBeGreaterThan(0)
      expect((await inHand()).length).toBeGreaterThan(0)
    },
    'before the acknowledgement reaches Redis': async ({ request }) => {
      expect(entriesIn(request).length).toBeGreaterThan(0)
      expect((await inStreams()).entries).toEqual(expect.arrayContaining(entriesIn(request)))
    },
    'acknowledged, the answer on the way': async ({ request }) => {
      const acknowledged = entriesIn(request)
      expect(acknowledged.length).toBeGreaterThan(0)
      expect((await inStreams()).entries.filter((id) => acknowledged.includes(id))).toEqual([])
    },
    'entries are claimed, and on the way': async ({ request, reply }) => {
      // The connection also carries the traffic of other lanes: not every named entry was claimed.
      const named = entriesIn(request + reply).map(idOf)
      const again = (await inHand()).filter(({ times }) => times > 1).map(({ entry }) => idOf(entry))
      expect(again.filter((id) => named.includes(id))).not.toEqual([])
    },
    'a suspect is recorded': async ({ request }) => {
      const [id] = uuids(request)
      expect(await count('retries WHERE event_id = $1 AND crashes > 0', id)).toBe(1)
    },
  }
}

/** The cursors that a request moves, and where it found them: all are at `where`. */
function cursorProof(stack: Stack): (request: string, where: 'from' | 'to') => Promise<void> {
  return async (request, where) => {
    const [partitions, epochs, from, to] = arrays(request.slice(request.lastIndexOf('move-cursors')))
    expect(partitions!.length).toBeGreaterThan(0)
    const moves = 'unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS move(partition, epoch, position)'
    const at = where === 'from' ? from : to
    const cursors = `group_cursors JOIN ${moves} USING (partition, epoch, position)`
    expect(await lookInto(stack).count(cursors, partitions, epochs, at)).toBeGreaterThanOrEqual(partitions!.length)
  }
}

/** For a worker that reads the log for consumer groups. */
export function groupProofs(stack: Stack): Proofs<typeof GROUP_CRASH_POINTS> {
  const { count, rowsIn } = lookInto(stack)
  const { before, after } = publicationProofs(stack)
  const expectCursors = cursorProof(stack)

  return {
    'the cursor is moved, inside the transaction': ({ request }) => expectCursors(request, 'from'),
    'before the COMMIT of a group reaches Postgres': async ({ request }) => {
      expect(uuids(request).length).toBeGreaterThan(0)
      expect(await rowsIn('group_effects', uuids(request))).toBe(0)
      await expectCursors(request, 'from')
    },
    'a group has committed, the answer on the way': async ({ request }) => {
      expect(uuids(request).length).toBeGreaterThan(0)
      expect(await rowsIn('group_effects', uuids(request))).toBe(uuids(request).length)
      await expectCursors(request, 'to')
    },
    'events are parked, the answer on the way': async ({ request }) => {
      const [seqs] = arrays(request.slice(request.indexOf('park-events')))
      expect(await count('group_parked WHERE seq = ANY($1)', seqs)).toBe(seqs!.length)
    },
    'events are emitted, before the XADD reaches Redis': async (evidence) => {
      await before(evidence)
      // The next owner finds the partitions there.
      const recorded = 'raw_events r JOIN group_cursors c ON r.partition = ANY(c.unpublished)'
      expect(await count(`${recorded} WHERE event_id = ANY($1)`, eventIds(evidence.request))).toBeGreaterThan(0)
    },
    'the XADD of emitted events is done, its answer on the way': after,
    'before the mark of the next owner reaches Postgres': async () => {
      expect(await count(`group_cursors WHERE unpublished <> '{}'`)).toBeGreaterThan(0)
      expect(await count('partition_marks WHERE dirty > 0')).toBe(0)
    },
  }
}

/** For a worker that reads the log for windows. */
export function windowProofs(stack: Stack): Proofs<typeof WINDOW_CRASH_POINTS> {
  const { count } = lookInto(stack)
  const { before } = publicationProofs(stack)
  const expectCursors = cursorProof(stack)

  /** The keys whose windows a request closes. */
  const keysIn = (request: string) => keys(request.slice(request.lastIndexOf('insert-window-results')))

  return {
    'before the COMMIT of counted events reaches Postgres': ({ request }) => expectCursors(request, 'from'),
    'counted events are committed, the answer on the way': ({ request }) => expectCursors(request, 'to'),
    'before the COMMIT of closed windows reaches Postgres': async ({ request }) => {
      const due = `window_state JOIN group_watermarks USING (group_id, generation, partition, tenant_id)
        WHERE close_at <= watermark AND key = $1`
      expect(keysIn(request).length).toBeGreaterThan(0)
      for (const key of keysIn(request)) expect(await count(due, key)).toBeGreaterThan(0)
    },
    'closed windows are committed, the answer on the way': async ({ request }) => {
      expect(keysIn(request).length).toBeGreaterThan(0)
      for (const key of keysIn(request)) expect(await count('window_results WHERE key = $1', key)).toBeGreaterThan(0)
    },
    'results are emitted, before the XADD reaches Redis': before,
  }
}

/** For a worker that reads the log for joins. */
export function joinProofs(stack: Stack): Proofs<typeof JOIN_CRASH_POINTS> {
  const { count } = lookInto(stack)
  const { before } = publicationProofs(stack)
  const expectCursors = cursorProof(stack)

  /** The events that a request emits alone, and how many of them were emitted, and wait. */
  async function aloneIn(request: string) {
    const left = [...request.matchAll(/"left":"([-0-9a-f]{36})","right":null/g)].map(([, id]) => id)
    const [type] = /fault\.joined-[a-z]+/.exec(request) ?? []
    return {
      events: left.length,
      emitted: await count(
        `raw_events WHERE type = $1 AND payload->>'left' = ANY($2) AND payload->>'right' IS NULL`,
        ...[type, left],
      ),
      waiting: await count(
        `join_rows JOIN consumer_groups USING (group_id, generation)
         WHERE name = replace($1, '.', '-') AND side = 'left' AND event->>'id' = ANY($2)`,
        ...[type, left],
      ),
    }
  }

  return {
    'before the COMMIT of joined events reaches Postgres': ({ request }) => expectCursors(request, 'from'),
    'joined events are committed, the answer on the way': ({ request }) => expectCursors(request, 'to'),
    'before the COMMIT of an event alone reaches Postgres': async ({ request }) => {
      const { events, emitted, waiting } = await aloneIn(request)
      expect(events).toBeGreaterThan(0)
      expect({ emitted, waiting }).toEqual({ emitted: 0, waiting: events })
    },
    'an event alone is committed, the answer on the way': async ({ request }) => {
      const { events, emitted, waiting } = await aloneIn(request)
      expect(events).toBeGreaterThan(0)
      expect({ emitted, waiting }).toEqual({ emitted: events, waiting: 0 })
    },
    'pairs are emitted, before the XADD reaches Redis': before,
  }
}
