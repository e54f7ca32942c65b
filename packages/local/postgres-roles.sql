-- The roles of EventFlow, for a superuser to run in its database, on Postgres 16 or newer. Run again at any time, such as for
-- another password. `npm start` and compose.yaml run it; on a server of your own:
--
--   PGOPTIONS="-c eventflow.password=…" psql -d eventflow -f packages/local/postgres-roles.sql
--
-- eventflow         all programs log in as this role: it reads and writes rows, and makes the tables of handlers
-- eventflow_owner   has the database and the pipeline's tables; programs take it on for a migration, and at no other time
-- eventflow_tenant  what reads for a tenant takes this one on, and sees the rows of that tenant only
--
-- The programs' role inherits from neither: a policy that binds a role binds all that inherit from it.

DO $$ DECLARE role text; BEGIN
  FOREACH role IN ARRAY ARRAY['eventflow_owner', 'eventflow_tenant', 'eventflow'] LOOP
    IF to_regrole(role) IS NULL THEN
      EXECUTE format('CREATE ROLE %I', role);
    END IF;
  END LOOP;
  EXECUTE format('ALTER ROLE eventflow LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE PASSWORD %L', current_setting('eventflow.password'));
  EXECUTE format('ALTER DATABASE %I OWNER TO eventflow_owner', current_database());
END $$;

-- Workers look for the transactions of ingest, also where that has another role.
GRANT pg_read_all_stats TO eventflow;

GRANT eventflow_owner, eventflow_tenant TO eventflow WITH INHERIT FALSE, SET TRUE;

-- What EventFlow has made here while it ran as the superuser that runs this. Its tables go on to the owner with the next migration.
DO $$ DECLARE change text; BEGIN
  FOR change IN
    SELECT format('ALTER %s %s OWNER TO eventflow', kind, name) FROM (
      SELECT 'TABLE' AS kind, oid::regclass::text AS name, oid, tableoid, relowner AS owner FROM pg_class
        WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      UNION ALL SELECT 'ROUTINE', oid::regprocedure::text, oid, tableoid, proowner FROM pg_proc
      UNION ALL SELECT 'TYPE', oid::regtype::text, oid, tableoid, typowner FROM pg_type WHERE typtype IN ('d', 'e', 'r')
      UNION ALL SELECT 'SCHEMA', oid::regnamespace::text, oid, tableoid, nspowner FROM pg_namespace) AS objects
    -- Neither the server's own nor what comes with its table or its extension. A part of a table has an owner of its own.
    WHERE owner = current_user::regrole AND oid >= 16384 AND NOT starts_with(name, 'pg_')
      AND (tableoid = 'pg_class'::regclass AND oid IN (SELECT inhrelid FROM pg_inherits)
           OR NOT EXISTS (SELECT FROM pg_depend d
                          WHERE d.classid = objects.tableoid AND d.objid = objects.oid AND d.objsubid = 0
                            AND d.deptype IN ('a', 'i', 'e')))
  LOOP
    EXECUTE change;
  END LOOP;
END $$;
