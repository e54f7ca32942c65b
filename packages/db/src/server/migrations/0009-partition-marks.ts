/**
 * The mark of a partition moves to a row of its own, which ingest can raise while a settle transaction holds the partition's.
 * A process of an earlier version fails loudly from here on: with the column left in place, a worker would not see new marks.
 */
import { type Kysely, sql } from 'kysely'

export async function partitionMarks(db: Kysely<unknown>): Promise<void> {
  // Locked before the marks are copied: one that was raised in between would be lost.
  await sql`LOCK TABLE partitions IN ACCESS EXCLUSIVE MODE`.execute(db)
  // While Redis is away each row is updated many times a second: the free space keeps the old versions in the row's own page.
  await sql`
    CREATE TABLE partition_marks (
      id    smallint PRIMARY KEY,
      dirty bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 10)`.execute(db)
  await sql`INSERT INTO partition_marks (id, dirty) SELECT id, dirty FROM partitions`.execute(db)
  await sql`ALTER TABLE partitions DROP COLUMN dirty`.execute(db)
}
