-- 95_extra.sql: what a DBA has added to the tables.  A dump has tables, but not the indexes, triggers and policies that somebody
-- made on an extension's tables; rt.extra_ddl() tells them, to save beside the dump.

CREATE TABLE rt_private.own_ddl (
	kind text,
	relation text,
	name text,
	PRIMARY KEY (kind, relation, name)
);
COMMENT ON TABLE rt_private.own_ddl IS 'indexes, triggers and policies that the extension itself made';
COMMENT ON COLUMN rt_private.own_ddl.kind IS 'index, trigger or policy';
COMMENT ON COLUMN rt_private.own_ddl.relation IS 'the table, with its schema';
COMMENT ON COLUMN rt_private.own_ddl.name IS 'name of the object';

CREATE FUNCTION rt_private.all_ddl() RETURNS TABLE (kind text, relation text, name text, ddl text, described boolean)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH tables AS (
		SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('rt', 'rt_private') AND c.relkind IN ('r', 'p', 'v')
	)
	SELECT 'index', t.name, c.relname::text, pg_get_indexdef(i.indexrelid), obj_description(c.oid, 'pg_class') IS NOT NULL
	FROM tables AS t JOIN pg_index AS i ON i.indrelid = t.oid JOIN pg_class AS c ON c.oid = i.indexrelid
	WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
	UNION ALL
	SELECT 'trigger', t.name, g.tgname::text, pg_get_triggerdef(g.oid)
			|| CASE WHEN g.tgenabled = 'O' THEN '' ELSE format(E';\nALTER TABLE %s %s TRIGGER %I', t.name,
				CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, g.tgname) END,
		obj_description(g.oid, 'pg_trigger') IS NOT NULL
	FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid WHERE NOT g.tgisinternal AND g.tgparentid = 0
	UNION ALL
	SELECT 'policy', t.name, p.polname::text, concat_ws(' ', format('CREATE POLICY %I ON %s', p.polname, t.name),
			CASE WHEN NOT p.polpermissive THEN 'AS RESTRICTIVE' END,
			'FOR ' || CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
			'TO ' || (SELECT string_agg(CASE WHEN r = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ') FROM unnest(p.polroles) AS r),
			'USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', 'WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),
		obj_description(p.oid, 'pg_policy') IS NOT NULL
	FROM tables AS t JOIN pg_policy AS p ON p.polrelid = t.oid
$$;
COMMENT ON FUNCTION rt_private.all_ddl() IS 'indexes, triggers and policies on the tables of rt';

-- All that the extension makes is described, so in a database that is updated what others have made before is told from it.
INSERT INTO rt_private.own_ddl SELECT a.kind, a.relation, a.name FROM rt_private.all_ddl() AS a WHERE a.described ON CONFLICT DO NOTHING;

CREATE FUNCTION rt.extra_ddl() RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT a.ddl || ';' FROM rt_private.all_ddl() AS a
	WHERE NOT EXISTS (SELECT FROM rt_private.own_ddl AS o WHERE o.kind = a.kind AND o.relation = a.relation AND o.name = a.name)
	ORDER BY a.kind, a.relation, a.name
$$;
COMMENT ON FUNCTION rt.extra_ddl() IS
	'returns the statements that make the indexes, triggers and policies that you have added to tables of rt; a dump does not contain them';
REVOKE ALL ON FUNCTION rt_private.all_ddl(), rt.extra_ddl() FROM PUBLIC;
REVOKE ALL ON TABLE rt_private.own_ddl FROM PUBLIC;
