/** Checks of states that are hard to produce on a server that other tests share. */
import type { Reach, StatefulGroup, ToldFigures } from '@eventflow/db'
import { describe, expect, test } from '@jest/globals'

import { checkTables } from './check-pipeline.js'
import { checkPostgres } from './check-postgres.js'
import type { PostgresFacts } from './facts.js'
import { checkClock, checkDisk, checkNode } from './host.js'

const shells = { psql: 'psql', redisCli: 'redis-cli' }
const set = (value: string, source = 'default') => ({ value, source })
const worker = (id: string) => ({
  ...{ id, host: 'h', pid: 1, startedAt: new Date(0), heartbeatAt: new Date(0), silentSeconds: 1 },
  ...{ alive: true, partitions: [], rival: null },
})

const well: PostgresFacts = {
  version: '18.1',
  versionNumber: 180_001,
  database: 'eventflow',
  role: 'eventflow',
  settings: {
    fsync: set('on'),
    synchronous_commit: set('on'),
    full_page_writes: set('on'),
    statement_timeout: set('5000', 'client'),
    idle_in_transaction_session_timeout: set('6000', 'client'),
  },
  connections: [
    { application: 'eventflow-ingest', role: 'eventflow', count: 6 },
    { application: 'eventflow-ingest-asking', role: 'eventflow', count: 4 },
    { application: 'eventflow-worker', role: 'eventflow', count: 4 },
    { application: 'psql', role: 'other', count: 6 },
  ],
  maxConnections: 97,
  owner: 'eventflow_owner',
  blindRoles: [],
  superusers: [],
  oldTransactions: [],
  idleSlots: [{ name: 'backup', bytes: 1_000 }],
  databaseBytes: 1e9,
  walBytes: 1e8,
  dataDirectory: '/data',
  clock: { ahead: 0.01, give: 0.001 },
  disk: { free: 50e9, size: 100e9 },
  migrations: { missing: [], unknown: [] },
  tables: {
    missingIndexes: [],
    ownership: { workers: ['a', 'b'], partitions: [] },
    workers: [worker('a'), worker('b')],
    reach: { lastSeq: 5, end: 3_000_001, ahead: 2, perDay: 0, newlyOpened: false },
    groups: [],
    stateful: [],
    figures: [],
  },
}

const wrongWith = (changed: Partial<PostgresFacts>) =>
  checkPostgres({ ...well, ...changed }, shells).filter(({ level }) => level !== 'ok')
const withSetting = (name: string, value: string, source: string) =>
  wrongWith({ settings: { ...well.settings, [name]: set(value, source) } })

test('a healthy installation has no findings', () => {
  expect(wrongWith({})).toEqual([])
})

describe('a setting that makes COMMIT durable is turned on at the level where it was turned off', () => {
  test.each([
    ['fsync', 'configuration file', 'psql -c "ALTER SYSTEM SET fsync = on" -c "SELECT pg_reload_conf()"'],
    ['full_page_writes', 'command line', 'start Postgres without -c full_page_writes=off'],
    ['synchronous_commit', 'user', 'psql -c "ALTER ROLE \\"eventflow\\" RESET synchronous_commit"'],
    [
      'synchronous_commit',
      'database user',
      'psql -c "ALTER ROLE \\"eventflow\\" IN DATABASE \\"eventflow\\" RESET synchronous_commit"',
    ],
    ['synchronous_commit', 'client', 'remove synchronous_commit from the options in DATABASE_URL'],
  ])('%s, by the %s', (name, source, fix) => {
    expect(withSetting(name, 'off', source)).toMatchObject([{ check: 'postgres durability', level: 'error', fix }])
  })

  test('but a setting that waits for less than a standby is fine', () => {
    expect(withSetting('synchronous_commit', 'local', 'user')).toEqual([])
  })
})

test('a ledger without a part ahead is found, and one that is not yet in parts is fine', () => {
  const wrong = (reach: Reach | undefined) =>
    checkTables({ ...well, tables: { ...well.tables!, reach } }, shells).filter(({ level }) => level !== 'ok')
  const { reach } = well.tables!
  expect(wrong(reach)).toEqual([])
  expect(wrong(undefined)).toEqual([])
  // The conversion makes these itself.
  const missingIndexes = [{ name: 'retries_tenant', make: 'CREATE INDEX' }]
  const converting = checkTables({ ...well, tables: { ...well.tables!, missingIndexes, reach: undefined } }, shells)
  expect(converting.filter(({ level }) => level !== 'ok')).toEqual([])
  expect(wrong({ ...reach!, ahead: 0 })).toMatchObject([{ check: 'parts', level: 'error' }])
})

test('windows and joins whose event time stands, or that many events come too late for, are found', () => {
  const stateful = (lagSeconds: number, kind: string) => {
    const lagging = { partition: 3, tenantId: 'acme' }
    return [{ name: 'revenue', kind, pausedFor: null, state: { lagSeconds, lagging } }] as unknown as StatefulGroup[]
  }
  const figures = (late: number) =>
    [
      { counts: { 'handled revenue': 600, 'late revenue': late } },
      { counts: { 'handled revenue': 400 } },
    ] as unknown as ToldFigures[]
  const wrong = (more: Partial<NonNullable<PostgresFacts['tables']>>) =>
    checkTables({ ...well, tables: { ...well.tables!, ...more } }, shells).filter(({ level }) => level !== 'ok')
  expect(wrong({ stateful: stateful(300, 'window'), figures: figures(10) })).toEqual([])
  expect(wrong({ stateful: stateful(400, 'join') })).toMatchObject([
    {
      check: 'groups',
      level: 'warning',
      message: expect.stringMatching(/join revenue is 6 min 40 s behind in partition 3/),
    },
  ])
  expect(wrong({ stateful: stateful(0, 'window'), figures: figures(11) })).toMatchObject([
    {
      ...{ check: 'groups', level: 'warning', fix: expect.stringContaining('npx eventflow windows late revenue') },
      message: expect.stringContaining('11 of 1000 events that the workers have handled for the window revenue'),
    },
  ])
})

test('a pooler that drops our limits is found', () => {
  expect(withSetting('idle_in_transaction_session_timeout', '0', 'default')).toMatchObject([
    { check: 'postgres timeouts', level: 'error' },
  ])
})

test('pools that may open more connections than the server allows are found', () => {
  // 6 others, one ingest of 16, two workers of 6.
  expect(wrongWith({ maxConnections: 34 })).toMatchObject([{ check: 'postgres connections', level: 'warning' }])
  expect(wrongWith({ maxConnections: 33 })).toMatchObject([{ check: 'postgres connections', level: 'error' }])
  expect(wrongWith({ maxConnections: 43 })).toEqual([])
})

test('transactions and replication slots that block vacuum are found', () => {
  const end = 'SELECT pg_terminate_backend(7)'
  expect(wrongWith({ oldTransactions: [{ who: 'psql (process 7, idle)', seconds: 4_000, end }] })).toMatchObject([
    { level: 'warning', message: expect.stringContaining('open for 1 h 6 min'), fix: `psql -c "${end}"` },
  ])
  expect(wrongWith({ idleSlots: [{ name: 'backup', bytes: 2 ** 31 }] })).toMatchObject([
    { level: 'warning', message: expect.stringContaining('2048 MiB') },
  ])
})

test.each([
  [130_020, ['error']],
  [140_001, ['warning']],
  [150_001, []],
])('Postgres %d', (versionNumber, levels) => {
  expect(wrongWith({ versionNumber }).map(({ level }) => level)).toEqual(levels)
})

test.each([
  ['v20.18.3', 'error'],
  ['v20.19.0', 'ok'],
  ['v18.20.0', 'error'],
  ['v22.0.0', 'ok'],
])('Node %s', (version, level) => {
  expect(checkNode(version)).toMatchObject([{ level }])
})

test.each([
  [0.9, 0.001, 'ok'],
  [-1.5, 0.001, 'warning'],
  [1.5, 1, 'ok'],
  [11, 0.1, 'error'],
])('a clock that is %d s ahead, give or take %d', (ahead, give, level) => {
  expect(checkClock('clock', { ahead, give })).toMatchObject([{ level }])
})

test.each([
  [11, 'ok'],
  [9, 'warning'],
  [4, 'error'],
])('a disk of which %d %% is free', (free, level) => {
  expect(checkDisk('disk', { free: free * 1e9, size: 1e11 })).toMatchObject([{ level }])
})
