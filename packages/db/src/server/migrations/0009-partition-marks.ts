/**
 * Moves the mark of a partition to a separate row, which ingest can update while a settling transaction holds the
 * partition's row. Processes of earlier versions fail loudly from here on: if the column stayed, a worker would not see
 * new marks.
 */
import { type Kysely, sql } from 'kysely'

export async function partitionMarks(db: Kysely<unknown>): Promise<void> {
  // Locked before the marks are copied: a mark set in between would be lost.
  await sql`LOCK TABLE partitions IN ACCESS EXCLUSIVE MODE`.execute(db)
  // While Redis is away each row is updated many times a second: the free space keeps the old versions in the same
  // page.
  await sql`
    CREATE TABLE partition_marks (
      id    smallint PRIMARY KEY,
      dirty bigint NOT NULL DEFAULT 0
    ) WITH (fillfactor = 10)`.execute(db)
  await sql`INSERT INTO partition_marks (id, dirty) SELECT id, dirty FROM partitions`.execute(db)
  await sql`ALTER TABLE partitions DROP COLUMN dirty`.execute(db)
}
