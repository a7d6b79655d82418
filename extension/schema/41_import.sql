-- Messages by the million.  What fires for each row (numbers, keys, events) would cost more than the row itself, so the
-- triggers are left out and what they check is checked for all rows together.

CREATE FUNCTION rt_private.import_number(room_id bigint, created_at timestamptz) RETURNS bigint
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_import_number';
COMMENT ON FUNCTION rt_private.import_number(bigint, timestamptz) IS 'the next number in a locked room; import_settle() must follow';

CREATE FUNCTION rt_private.import_settle() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_import_settle';
COMMENT ON FUNCTION rt_private.import_settle() IS 'stores the last numbers that import_number() assigned';

-- The column, or what stands in its place where the source has none.
CREATE FUNCTION rt_private.import_column(source regclass, name text, otherwise text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT CASE WHEN EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = source AND a.attnum > 0
			AND NOT a.attisdropped AND a.attname = name)
		THEN format('s.%I', name) ELSE otherwise END
$$;
COMMENT ON FUNCTION rt_private.import_column(regclass, text, text) IS 'how import_messages() reads a column';

-- Raises for the first row that the tables would not take.
CREATE FUNCTION rt_private.import_check(rows text) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	senders text[];
	missing text;
	bad record;
BEGIN
	EXECUTE format('SELECT ARRAY(SELECT DISTINCT sender_id FROM (%s) AS r WHERE sender_id IS NOT NULL)', rows) INTO senders;
	-- As the foreign key does: they stay until the transaction ends.
	PERFORM FROM rt.users AS u WHERE u.id = ANY (senders) FOR KEY SHARE;
	SELECT s INTO missing FROM unnest(senders) AS s WHERE NOT EXISTS (SELECT FROM rt.users AS u WHERE u.id = s) LIMIT 1;
	IF missing IS NOT NULL THEN
		RAISE EXCEPTION 'user not found' USING ERRCODE = 'RT404', DETAIL = format('There is no user "%s".', missing);
	END IF;
	EXECUTE format('SELECT room_id, created_at, finite, bytes > 0 AS filled, fault FROM (SELECT room_id, created_at, deleted_at,
			isfinite(created_at) AND isfinite(coalesce(edited_at, created_at)) AND isfinite(coalesce(deleted_at, created_at)) AS finite,
			rt_private.message_fault(message_type, metadata, client_id) AS fault, octet_length(content) + coalesce(octet_length(metadata::text), 0) AS bytes FROM (%s) AS r) AS r
		WHERE room_id IS NULL OR created_at IS NULL OR NOT finite OR fault IS NOT NULL OR bytes > $1 OR (bytes = 0 AND deleted_at IS NULL) LIMIT 1', rows)
	INTO bad USING rt_private.max_message_size();
	IF bad IS NULL THEN
		RETURN;
	ELSIF bad.room_id IS NULL OR bad.created_at IS NULL THEN
		RAISE EXCEPTION 'room_id and created_at of a message must not be null' USING ERRCODE = 'RT400';
	ELSIF NOT bad.finite THEN
		RAISE check_violation USING MESSAGE = 'times of a message must not be infinite', DETAIL = format('It is in room %s.', bad.room_id);
	ELSIF bad.fault IS NOT NULL THEN
		RAISE check_violation USING MESSAGE = bad.fault, DETAIL = format('It is in room %s, of %s.', bad.room_id, bad.created_at);
	ELSIF bad.filled THEN
		RAISE EXCEPTION 'message is too large' USING ERRCODE = 'RT413',
			DETAIL = format('It is in room %s, of %s.', bad.room_id, bad.created_at);
	END IF;
	RAISE EXCEPTION 'message is empty' USING ERRCODE = 'RT400',
		DETAIL = format('It is in room %s, of %s.', bad.room_id, bad.created_at);
END
$$;
COMMENT ON FUNCTION rt_private.import_check(text) IS 'checks imported messages as triggers and foreign keys would';

CREATE FUNCTION rt_private.import_rows(insertion text, search regclass) RETURNS bigint
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_import_rows';
COMMENT ON FUNCTION rt_private.import_rows(text, regclass) IS
	'runs an INSERT that returns ctid and the GIN entries of each row, and adds these to the index word by word';

-- Runs with the caller's rights, of which a superuser alone has enough: it sets session_replication_role.
CREATE FUNCTION rt.import_messages(source regclass, rebuild_indexes boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET session_replication_role = replica
SET work_mem = '256MB' SET maintenance_work_mem = '512MB' SET jit = off AS $$
DECLARE
	-- What is sorted by comes first: it is read for each comparison.
	rows text := format('SELECT s.room_id::bigint, s.created_at::timestamptz, %6$s AS id, s.sender_id::text,
			coalesce(s.content::text, '''') AS content, %1$s::text AS message_type, %2$s::jsonb AS metadata, %3$s::text AS client_id,
			%4$s::timestamptz AS edited_at, %5$s::timestamptz AS deleted_at FROM %7$s AS s',
		rt_private.import_column(source, 'message_type', '''text'''), rt_private.import_column(source, 'metadata', 'NULL'),
		rt_private.import_column(source, 'client_id', 'NULL'), rt_private.import_column(source, 'edited_at', 'NULL'),
		rt_private.import_column(source, 'deleted_at', 'NULL'), rt_private.import_column(source, 'id', '0'), source);
	again text[] := '{}';
	imported bigint;
	indexes text;
	search regclass;
BEGIN
	PERFORM rt_private.import_check(rows);
	IF rebuild_indexes THEN
		-- All definitions are read before anything is dropped.
		SELECT array_agg(pg_get_indexdef(c.oid)) || array_agg(format('COMMENT ON INDEX %s IS %L', c.oid::regclass, obj_description(c.oid, 'pg_class'))),
			string_agg(c.oid::regclass::text, ', ')
		INTO again, indexes
		FROM pg_class AS c WHERE c.oid IN ('rt.messages_sender_id_idx'::regclass, 'rt.messages_search_idx'::regclass);
		EXECUTE 'DROP INDEX ' || indexes;
	END IF;
	search := to_regclass('rt.messages_search_idx');
	-- The inner order is the order in which the numbers are taken: by rooms, since the primary key then grows at one place.
	imported := rt_private.import_rows(format('INSERT INTO rt.messages (room_id, seq, sender_id, content, message_type, metadata,
			client_id, created_at, edited_at, deleted_at)
		SELECT r.room_id, rt_private.import_number(r.room_id, r.created_at), r.sender_id,
			CASE WHEN r.deleted_at IS NULL THEN r.content ELSE '''' END, coalesce(r.message_type, ''text''),
			CASE WHEN r.deleted_at IS NULL THEN r.metadata END, r.client_id, r.created_at, r.edited_at, r.deleted_at
		FROM (%s ORDER BY s.room_id, s.created_at, id OFFSET 0) AS r
		RETURNING ctid, %s', rows, coalesce(pg_get_indexdef(search, 1, true), 'NULL')), search);
	PERFORM rt_private.import_settle();
	FOR i IN 1 .. cardinality(again) LOOP
		EXECUTE again[i];
	END LOOP;
	RETURN imported;
END
$$;
COMMENT ON FUNCTION rt.import_messages(regclass, boolean) IS
	'for superusers: imports all messages of a table, in each room in the order of created_at and id, without events; returns their number';
