/** The report on the tables in parts. */
import { type Spread, spreadOf } from '../statistics.js'
import { LAYOUTS } from '../suites/ledger/layouts.js'
import type { Ledger } from '../suites/ledger/ledger.js'
import { short, table, whole } from './figures.js'

/** All of it as text. */
export function describeLedger({ options, inserts, statements, retention }: Ledger): string {
  return [
    ...Object.entries(LAYOUTS).map(([name, what]) => `${name}: ${what}`),
    `parts_full: ${options.parts} parts, ${whole(options.partEvents)} events in each old one, ${whole(options.ids)} ids in the previous bucket`,
    '',
    ofInserts(inserts),
    `other processes had up to ${whole(100 * mostTaken(inserts))} % of the machine`,
    '',
    ofStatements(statements),
    '',
    ofRetention(retention),
  ].join('\n')
}

const spread = ({ median, min, max }: Spread) => `${short(median)} (${short(min)} – ${short(max)})`

/** Ratios are to the first layout, round by round. */
function ofInserts(inserts: Ledger['inserts']): string {
  return table(
    ['both INSERTs', 'events/s', 'ratio', 'Postgres µs', 'ratio', 'WAL bytes', 'ratio', 'table', 'index', 'ratio'],
    inserts.map(({ layout, load, ratio, ...one }) => [
      `${load}, ${layout}`,
      whole(one.eventsPerSecond.median),
      spread(ratio.eventsPerSecond),
      short(one.postgresMicroseconds.median),
      spread(ratio.postgresMicroseconds),
      whole(one.walBytes.median),
      spread(ratio.walBytes),
      whole(one.tableBytes.median),
      whole(one.indexBytes.median),
      spread(ratio.bytes),
    ]),
  )
}

const mostTaken = (inserts: Ledger['inserts']) =>
  Math.max(...inserts.flatMap(({ rounds }) => rounds.map(({ takenByOthers }) => takenByOthers)))

function ofStatements(statements: Ledger['statements']): string {
  return table(
    [
      'statement of 50 events',
      'plan',
      'first planning ms',
      'planning ms',
      'execution ms',
      'locks',
      'not on the fast path',
    ],
    statements.map(({ layout, statement, plan, ...one }) => [
      `${statement}, ${layout}`,
      plan,
      ...[one.firstPlanningMs, one.planningMs, one.executionMs].map(short),
      whole(one.locks),
      whole(one.sharedLocks),
    ]),
  )
}

function ofRetention({ rate, batch, seconds, partEvents, rounds }: Ledger['retention']): string {
  const statements = Object.keys(rounds[0]!.with)
  const median = (of: 'with' | 'without', statement: string, percentile: 'p50' | 'p99' | 'max') =>
    spread(spreadOf(rounds.map((round) => round[of][statement]![percentile])))
  return [
    `${whole(rate)} events/s in batches of ${batch} for ${whole(seconds)} s, without and with retention; ${rounds
      .map(
        ({ emptied, notEmptied, dropped, folded }) =>
          `${emptied} parts emptied, ${notEmptied} not, ${dropped} dropped, folded ${folded} times`,
      )
      .at(-1)}; ${whole(partEvents)} events in each`,
    table(
      ['ms', 'p50 without', 'with', 'p99 without', 'with', 'max without', 'with'],
      statements.map((statement) => [
        statement,
        ...(['p50', 'p99', 'max'] as const).flatMap((percentile) => [
          median('without', statement, percentile),
          median('with', statement, percentile),
        ]),
      ]),
    ),
  ].join('\n')
}
