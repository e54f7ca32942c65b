/** The data and the effects that the events of the fault tests have in common. */
import { type AcceptedEvent, type Sql, type Static, Type } from '@eventflow/sdk'

export const Step = Type.Object({
  key: Type.String(),
  n: Type.Integer({ description: 'Numbers the events of the key' }),
  mood: Type.Optional(Type.String({ description: 'What is special about it' })),
})

export type StepEvent = AcceptedEvent<Static<typeof Step>>

/** Writes the effects of events, and updates the aggregate of their keys. */
export async function writeEffects(events: readonly StepEvent[], tx: Sql): Promise<void> {
  const values = [
    events.map(({ tenantId }) => tenantId),
    events.map(({ data }) => data.key),
    events.map(({ data }) => data.n),
  ]
  await tx.query(
    `INSERT INTO effects (tenant_id, key, n, event_id)
     SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::uuid[])`,
    [...values, events.map(({ id }) => id)],
  )
  await tx.query(
    `INSERT INTO totals (tenant_id, key, count, sum)
     SELECT tenant_id, key, count(*), sum(n) FROM unnest($1::text[], $2::text[], $3::integer[]) AS e(tenant_id, key, n)
     GROUP BY 1, 2 ORDER BY 1, 2
     ON CONFLICT (tenant_id, key) DO UPDATE SET count = totals.count + excluded.count, sum = totals.sum + excluded.sum`,
    values,
  )
}
