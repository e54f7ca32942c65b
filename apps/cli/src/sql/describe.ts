/**
 * `\d`: lists tables, and describes one. The catalogs are those of Postgres' manual, "System Catalogs". The parts of a
 * partitioned table are not listed, but counted for it.
 */

export const TABLES = `
SELECT c.relname AS name, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'table' END AS kind,
       CASE WHEN c.relkind <> 'v' THEN stored.rows END AS about_rows,
       CASE WHEN c.relkind <> 'v' THEN pg_size_pretty(stored.bytes) END AS size
FROM pg_class c
CROSS JOIN LATERAL (
  SELECT sum(greatest(p.reltuples, 0))::bigint AS rows, sum(pg_total_relation_size(p.oid)) AS bytes
  FROM pg_class p
  WHERE p.oid IN (SELECT c.oid WHERE c.relkind <> 'p' UNION ALL SELECT relid FROM pg_partition_tree(c.oid) WHERE isleaf)
) stored
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND pg_table_is_visible(c.oid)
  AND c.relnamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`

export const COLUMNS = `
SELECT a.attname AS column, format_type(a.atttypid, a.atttypmod) AS type, NOT a.attnotnull AS nullable,
       pg_get_expr(d.adbin, d.adrelid) AS default
FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE a.attrelid = $1::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum`

export const INDEXES = `
SELECT indexrelid::regclass AS index, pg_get_indexdef(indexrelid) AS definition
FROM pg_index WHERE indrelid = $1::regclass ORDER BY NOT indisprimary, 1`
