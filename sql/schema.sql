-- What every object of the extension must have.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;

-- the contract's columns
SELECT c.relname, string_agg(a.attname, ', ' ORDER BY a.attnum) AS columns
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'rt'::regnamespace
  AND c.relname IN ('users', 'rooms', 'room_members', 'messages', 'receipts', 'reactions', 'presence')
GROUP BY c.relname ORDER BY c.relname COLLATE "C";

-- tables, views, columns and functions without a comment
SELECT c.oid::regclass AS uncommented FROM pg_class c
WHERE c.relnamespace IN ('rt'::regnamespace, 'rt_private'::regnamespace) AND c.relkind IN ('r', 'v')
  AND obj_description(c.oid, 'pg_class') IS NULL ORDER BY 1;
SELECT c.oid::regclass AS relation, a.attname AS uncommented FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'rt'::regnamespace AND c.relkind = 'r' AND col_description(c.oid, a.attnum) IS NULL ORDER BY 1, 2;
SELECT p.oid::regprocedure AS uncommented FROM pg_proc p
WHERE p.pronamespace IN ('rt'::regnamespace, 'rt_api'::regnamespace, 'rt_private'::regnamespace)
  AND obj_description(p.oid, 'pg_proc') IS NULL ORDER BY 1;

-- nothing is PUBLIC's
SELECT p.oid::regprocedure AS public_function FROM pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
WHERE p.pronamespace IN ('rt'::regnamespace, 'rt_api'::regnamespace, 'rt_private'::regnamespace)
  AND a.grantee = 0 ORDER BY 1;
SELECT c.oid::regclass AS public_relation FROM pg_class c, aclexplode(c.relacl) a
WHERE c.relnamespace IN ('rt'::regnamespace, 'rt_api'::regnamespace, 'rt_private'::regnamespace) AND a.grantee = 0 ORDER BY 1;

-- a function with the owner's rights has a search_path of its own, without a schema that others may write to
SELECT p.oid::regprocedure AS unsafe FROM pg_proc p
WHERE p.pronamespace IN ('rt'::regnamespace, 'rt_api'::regnamespace, 'rt_private'::regnamespace) AND p.prosecdef
  AND NOT coalesce(p.proconfig::text, '') ~ 'search_path=(pg_catalog, pg_temp|\\"pg_catalog\\", \\"pg_temp\\")' ORDER BY 1;

-- the programs may call functions of rt_api, and nothing else
SELECT r.rolname, r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolbypassrls AS powerful, r.rolcanlogin,
  (SELECT count(*) FROM pg_class c WHERE c.relnamespace IN ('rt'::regnamespace, 'rt_private'::regnamespace)
     AND c.relkind IN ('r', 'v', 'm') AND has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')) AS relations,
  (SELECT count(*) FROM pg_proc p WHERE p.pronamespace IN ('rt'::regnamespace, 'rt_private'::regnamespace)
     AND has_function_privilege(r.oid, p.oid, 'EXECUTE') AND has_schema_privilege(r.oid, p.pronamespace, 'USAGE')) AS functions,
  (SELECT count(*) > 0 FROM pg_proc p WHERE p.pronamespace = 'rt_api'::regnamespace
     AND has_function_privilege(r.oid, p.oid, 'EXECUTE')) AS api
FROM pg_roles r WHERE r.rolname IN ('rt_gateway', 'rt_media', 'rt_app') ORDER BY 1;

-- what pg_dump writes out
SELECT c.oid::regclass AS dumped FROM pg_extension e, unnest(e.extconfig) t (oid) JOIN pg_class c ON c.oid = t.oid
WHERE e.extname = 'rt' ORDER BY 1;
