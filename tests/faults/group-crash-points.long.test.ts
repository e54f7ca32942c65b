/** Every crash point of consumer groups: the worker dies there, restarts, and nothing is lost or doubled. */
import { GROUP_CRASH_POINTS, LEADS_TO_ANOTHER } from '@eventflow/testkit'
import { expect, test } from '@jest/globals'
import { type Load, useCrashStage } from './crash-stage.js'
import { groupProofs } from './proofs.js'
import { eventIds } from './traffic.js'

const stage = useCrashStage('group-crash-points')

type GroupCrashPoint = keyof typeof GROUP_CRASH_POINTS

/** The next owner of a partition marks what a former one has recorded. */
const EMITTED: readonly GroupCrashPoint[] = [
  'events are emitted, before the XADD reaches Redis',
  'before the mark of the next owner reaches Postgres',
  'the XADD of emitted events is done, its answer on the way',
]
const handled = (Object.keys(GROUP_CRASH_POINTS) as GroupCrashPoint[]).filter((name) => !EMITTED.includes(name))

/** A third of the events lead to others; the group fails a few of the others. */
const FOR_GROUPS: Load = {
  paceMs: 50,
  moodOf(n, i) {
    if (i === 0) return { mood: LEADS_TO_ANOTHER }
    return i === 1 && n % 23 === 0 ? { mood: 'group fails once' } : {}
  },
}

test.each([handled, EMITTED].map((names) => [names.join('; then '), names] as const))(
  'a worker dies with a consumer group: %s',
  async (_, names) => {
    const [worker] = stage.stack.workers
    let unpublished: string[] = []
    await stage.underLoad(async () => {
      for (const name of names) {
        const { request } = await stage.dies(worker!, GROUP_CRASH_POINTS[name], groupProofs(stage.stack)[name])
        if (name === 'events are emitted, before the XADD reaches Redis') unpublished = eventIds(request)
      }
      // Events of the same keys are emitted by the next owner.
      const { rows } = await stage.stack.db.query('SELECT key FROM raw_events WHERE event_id = ANY($1)', [unpublished])
      for (const { key } of rows) await stage.clients.send([{ key, mood: LEADS_TO_ANOTHER }])
      await worker!.ready()
    }, FOR_GROUPS)
    if (names === EMITTED) await expectFirst(unpublished)
  },
  120_000,
)

/** Each of these emitted events took effect before all those of its key that were emitted later. */
async function expectFirst(ids: readonly string[]): Promise<void> {
  const { rows } = await stage.stack.db.query(
    `SELECT first.event_id, count(*)::integer AS later, bool_and(later_effect.at > first_effect.at) AS in_order
     FROM raw_events first JOIN effects first_effect USING (event_id)
     JOIN raw_events later ON later.type = first.type AND later.key = first.key AND later.seq > first.seq
     JOIN effects later_effect ON later_effect.event_id = later.event_id
     WHERE first.event_id = ANY($1) GROUP BY 1`,
    [ids],
  )
  expect(rows).toHaveLength(ids.length)
  expect(rows.every(({ later, in_order }) => later > 0 && in_order)).toBe(true)
}
