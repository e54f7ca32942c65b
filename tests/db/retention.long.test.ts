/** Retention of any mix of events: exactly what may go goes. */
import { expect, test } from '@jest/globals'
import fc from 'fast-check'
import { clear, firstSeq, parts, range, round, type Stored, store, tables, useLedger, WIDTH } from './old-parts.js'

useLedger()

const age = fc.integer({ min: 0, max: 40 })
const history = fc.oneof(
  fc.constant({}),
  fc.constant({ waits: true }),
  fc.record({ processed: age }),
  fc.record({ processed: age, waits: fc.constant(true) }),
  fc.record({ failed: fc.record({ age, status: fc.constant('open' as const) }) }),
  fc.record({
    failed: fc.record({ age, status: fc.constant('replaying' as const) }),
    waits: fc.constant(true),
  }),
  fc.record({ failed: fc.record({ age, status: fc.constant('discarded' as const), resolved: age }) }),
  fc.record({
    processed: age,
    failed: fc.record({ age, status: fc.constant('replayed' as const), resolved: age }),
  }),
)

test('for any mix of states and ages, exactly the old events of old parts are removed that nothing keeps', async () => {
  const events = fc.array(fc.tuple(history, age, fc.integer({ min: 0, max: 2 })), { maxLength: 25 })
  const ages = fc.record({ settledDays: fc.nat(30), deadDays: fc.nat(30) })
  await fc.assert(
    fc.asyncProperty(
      events,
      fc.array(fc.nat(30), { minLength: 3, maxLength: 3 }),
      ages,
      fc.integer({ min: 1, max: 7 }),
      async (mix, marks, { settledDays, deadDays }, chunk) => {
        await clear()
        // Ages never rise with seq, and no event is settled before it was accepted.
        const accepted = mix.map(([, days]) => days).sort((a, b) => b - a)
        const stored = mix.map(
          ([{ processed, failed, ...rest }, , partition]: [Partial<Stored>, number, number], i) => {
            const atMost = (days: number) => Math.min(days, accepted[i]!)
            return {
              ...rest,
              ...{ seq: i + 1, partition, accepted: accepted[i]! },
              ...(processed !== undefined && { processed: atMost(processed) }),
              ...(failed && {
                failed: {
                  ...failed,
                  age: atMost(failed.age),
                  ...(failed.resolved !== undefined && { resolved: atMost(Math.min(failed.resolved, failed.age)) }),
                },
              }),
            } satisfies Stored
          },
        )
        await store(stored, { ...marks })

        const isOver = ({ seq, partition, waits }: Stored) => seq <= marks[partition]! && !waits
        const letterGoes = (event: Stored) =>
          isOver(event) && deadDays > 0 && (event.failed?.resolved ?? event.failed?.age ?? -1) >= deadDays
        const left = stored.filter((event) => !letterGoes(event) || event.processed !== undefined)
        const partOf = ({ seq }: Stored) => Math.ceil(seq / WIDTH)
        const isDue = (part: number) => {
          const its = left.filter((event) => partOf(event) === part)
          return (
            settledDays > 0 &&
            part * WIDTH <= stored.length &&
            its.every(({ seq, partition, accepted }) => seq <= marks[partition]! && accepted >= settledDays)
          )
        }
        const due = new Map(range(1, 5).map((part) => [part, isDue(part)]))
        const stays = (event: Stored) =>
          event.waits ||
          (event.failed && !letterGoes(event)) ||
          event.processed === undefined ||
          event.processed < settledDays
        const kept = left.filter((event) => !due.get(partOf(event)) || stays(event))
        const seqs = (events: readonly Stored[]) => events.map(({ seq }) => seq)

        await round({ settledDays, deadDays, chunk })
        expect(await tables()).toEqual({
          raw: seqs(kept),
          processed: seqs(kept.filter((event) => event.processed !== undefined)),
          failed: seqs(stored.filter((event) => event.failed && !letterGoes(event))),
        })
        const unsettled = stored.filter(({ processed, failed, waits }) => waits || (processed === undefined && !failed))
        expect((await tables()).raw).toEqual(expect.arrayContaining(seqs(unsettled)))
        const [lowest] = await parts()
        expect(Number(lowest!.split('-')[0])).toBe(Math.max(1, await firstSeq()))
        expect((await parts()).length).toBeLessThanOrEqual(12)
      },
    ),
    { numRuns: 60 },
  )
}, 200_000)
