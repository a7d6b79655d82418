-- 60_events.sql: events on their way to the clients: emitting, the log, what gateways read from it.

CREATE FUNCTION rt_private.emit(event text, route json, payload json, logged boolean DEFAULT true,
                                room_id bigint DEFAULT NULL, seq bigint DEFAULT NULL) RETURNS void
LANGUAGE c PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'rt_emit';
COMMENT ON FUNCTION rt_private.emit(text, json, json, boolean, bigint, bigint) IS
    'queues an event for the recipients that route names, sent when, and only if, the transaction commits';

CREATE FUNCTION rt_private.check_served() RETURNS boolean
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rt_check_served';
COMMENT ON FUNCTION rt_private.check_served() IS 'whether this session can send events; warns once if it cannot';

CREATE FUNCTION rt_private.change_payload(message rt.messages, deleted_by text) RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN message.deleted_at IS NULL THEN
        json_build_object('type', 'message-edited', 'roomId', message.room_id::text,
            'data', json_build_object('messageId', message.room_id || '-' || message.seq,
                'roomId', message.room_id::text, 'newContent', message.content, 'editedBy', message.sender_id,
                'timestamp', t.iso), 'timestamp', t.iso)
    ELSE
        json_build_object('type', 'message-deleted', 'roomId', message.room_id::text,
            'data', json_build_object('messageId', message.room_id || '-' || message.seq,
                'roomId', message.room_id::text, 'deletedBy', coalesce(deleted_by, message.sender_id),
                'timestamp', t.iso), 'timestamp', t.iso)
    END
    FROM (SELECT to_char(coalesce(message.deleted_at, message.edited_at) AT TIME ZONE 'UTC',
                         'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')) AS t (iso)
$$;
COMMENT ON FUNCTION rt_private.change_payload(rt.messages, text) IS
    'rebuilds the event payload for an edited or deleted message whose event was lost';

-- The room of what was purged is to be used again soon: with a fifth of it dead, as by default, the log were that much larger.
CREATE TABLE rt.events (
    pos     bigint PRIMARY KEY,
    at      timestamptz NOT NULL,
    event   text NOT NULL,
    route   text,
    room_id bigint,
    seq     bigint,
    payload text
) WITH (autovacuum_vacuum_scale_factor = 0.05);
COMMENT ON TABLE rt.events IS
    'event log of the last rt.recovery_window, in the order of delivery; written by the relay';
COMMENT ON COLUMN rt.events.pos IS 'position: the offset of Socket.IO''s connection state recovery';
COMMENT ON COLUMN rt.events.at IS 'when the transaction committed';
COMMENT ON COLUMN rt.events.event IS 'name of the event';
COMMENT ON COLUMN rt.events.route IS 'recipients, as a JSON object; null: all who joined the room';
COMMENT ON COLUMN rt.events.room_id IS 'the room concerned, if any';
COMMENT ON COLUMN rt.events.seq IS 'the message concerned, if any';
COMMENT ON COLUMN rt.events.payload IS 'payload, a JSON object; null: the current message (room_id, seq)';

-- For the relay's rescan: what of a room has been logged.
CREATE INDEX events_message ON rt.events (room_id, seq) WHERE event = 'new-chat-message';
CREATE INDEX events_change ON rt.events (room_id, seq)
    WHERE event IN ('chat-message-edited', 'chat-message-deleted');
CREATE INDEX messages_changed ON rt.messages (greatest(edited_at, deleted_at))
    WHERE edited_at IS NOT NULL OR deleted_at IS NOT NULL;
COMMENT ON INDEX rt.events_message IS 'finds a room''s last logged message';
COMMENT ON INDEX rt.events_change IS 'finds logged changes of messages';
COMMENT ON INDEX rt.messages_changed IS 'finds recently edited or deleted messages';

CREATE TABLE rt_private.relay_state (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    last_pos   bigint NOT NULL DEFAULT 0,
    clean      boolean NOT NULL DEFAULT true,
    horizon    xid8 NOT NULL,
    horizon_at timestamptz NOT NULL
);
COMMENT ON TABLE rt_private.relay_state IS 'state that the relay needs at start; one row';
COMMENT ON COLUMN rt_private.relay_state.one IS 'restricts the table to one row';
COMMENT ON COLUMN rt_private.relay_state.last_pos IS 'last assigned position, for an empty log';
COMMENT ON COLUMN rt_private.relay_state.clean IS 'whether the last relay shut down cleanly';
COMMENT ON COLUMN rt_private.relay_state.horizon IS 'all events of older transactions have been logged';
COMMENT ON COLUMN rt_private.relay_state.horizon_at IS 'transactions from horizon on started after this time';
INSERT INTO rt_private.relay_state (horizon, horizon_at)
VALUES (pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()), pg_catalog.clock_timestamp());

CREATE FUNCTION rt_private.event_text(pos bigint, event text, route text, room_id bigint, payload text) RETURNS text
LANGUAGE c IMMUTABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_event_text';
COMMENT ON FUNCTION rt_private.event_text(bigint, text, text, bigint, text) IS
    'an event as it is notified on channel rt_events';

-- An event whose message has been removed for good keeps its position, so that positions stay gapless.
-- A message that is deleted has no text in what is told of it again.
CREATE FUNCTION rt_private.payload_now(e rt.events) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_edit boolean := e.event = 'chat-message-edited';
    number bigint := e.seq;
BEGIN
    IF NOT is_edit AND (e.event <> 'chat-notification' OR strpos(e.payload, '"mention"') = 0) THEN
        RETURN e.payload;
    END IF;
    IF NOT is_edit THEN
        IF e.payload::jsonb ->> 'type' IS DISTINCT FROM 'mention' THEN
            RETURN e.payload;
        END IF;
        number := (e.payload::jsonb #>> '{data,seq}')::bigint;
    END IF;
    IF EXISTS (SELECT FROM rt.messages m WHERE m.room_id = e.room_id AND m.seq = number AND m.deleted_at IS NULL) THEN
        RETURN e.payload;
    END IF;
    RETURN jsonb_set(e.payload::jsonb, CASE WHEN is_edit THEN '{data,newContent}' ELSE '{data,content}' END::text[], '""')::text;
END
$$;
COMMENT ON FUNCTION rt_private.payload_now(rt.events) IS 'the payload of a log row, without the text of a message deleted since';

CREATE FUNCTION rt_private.event_text(e rt.events) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(
        rt_private.event_text(e.pos, e.event, e.route, e.room_id,
            coalesce(rt_private.payload_now(e), (SELECT rt_private.message_payload(h.m)::text FROM rt_private.history h
                                 WHERE h.room_id = e.room_id AND h.seq = e.seq))),
        rt_private.event_text(e.pos, 'rt:gone', '{"gateway":true}', NULL, '{}'))
$$;
COMMENT ON FUNCTION rt_private.event_text(rt.events) IS 'the text of a row of the log';

CREATE FUNCTION rt_private.log_last_pos() RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT greatest(state.last_pos, (SELECT max(e.pos) FROM rt.events AS e)) FROM rt_private.relay_state AS state);
END
$$;
COMMENT ON FUNCTION rt_private.log_last_pos() IS 'the position of the last event that was logged';

-- Between the positions that a crash or a promotion has left out there were no events to lose.
CREATE FUNCTION rt_private.log_reaches(pos bigint) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	floor bigint := (SELECT coalesce(min(e.pos) - 1, rt_private.log_last_pos()) FROM rt.events AS e);
	at bigint := log_reaches.pos;
BEGIN
	WHILE at < floor LOOP
		SELECT e.from_pos INTO at FROM rt_private.epochs AS e WHERE e.after_pos <= at AND at < e.from_pos ORDER BY e.from_pos LIMIT 1;
		IF NOT FOUND THEN
			RETURN false;
		END IF;
	END LOOP;
	RETURN at IS NOT NULL;
END
$$;
COMMENT ON FUNCTION rt_private.log_reaches(bigint) IS 'whether the log still has all that came after a position';

CREATE FUNCTION rt_api.events_since(actor text, req jsonb) RETURNS json
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH page AS MATERIALIZED (
        SELECT e.pos, rt_private.event_text(e) AS line FROM rt.events e
        WHERE e.pos > (req->>'pos')::bigint
        ORDER BY e.pos
        LIMIT least(greatest(coalesce((req->>'limit')::integer, 500), 1), 1000)
    ), sized AS (
        SELECT page.pos, page.line, sum(octet_length(page.line)) OVER (ORDER BY page.pos) - octet_length(page.line) AS before
        FROM page
    )
    SELECT json_build_object(
        'events', coalesce((SELECT json_agg(sized.line ORDER BY sized.pos) FROM sized
                            WHERE sized.before < coalesce((req->>'bytes')::bigint, 1048576)), '[]'),
        'relay', (SELECT r.pid FROM rt_private.stat_relay() r),
        'epoch', rt.epoch(),
        'lost', rt_private.is_lost((req->>'pos')::bigint),
        'whole', rt_private.log_reaches((req->>'pos')::bigint),
        'first', (SELECT min(e.pos)::text FROM rt.events e),
        'last', (SELECT greatest(s.last_pos, (SELECT max(e.pos) FROM rt.events e))::text
                 FROM rt_private.relay_state s))
$$;
COMMENT ON FUNCTION rt_api.events_since(text, jsonb) IS
    'events after "pos", at most "limit" and about "bytes"; first and last position of the log; process id of the relay; the epoch, whether "pos" was lost, and whether the log still has all after "pos"';

-- Any role may LISTEN, but an echo tells nothing; and the pid that comes with it is not the relay's, so no program takes it for an event.
CREATE FUNCTION rt_api.echo(actor text, req jsonb) RETURNS json
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	token text := rt_private.req_text(req, 'token');
	channel text := rt_private.req_choice(req, 'channel', ARRAY['rt_events', 'rt_media'], 'rt_events');
BEGIN
	IF token !~ '^[0-9a-f.]{1,39}$' THEN
		RAISE EXCEPTION 'token is malformed' USING ERRCODE = 'RT400';
	END IF;
	PERFORM rt_private.soft_commit();
	PERFORM pg_notify(channel, '{"echo":"' || token || '"}');
	RETURN '{}'::json;
END
$$;
COMMENT ON FUNCTION rt_api.echo(text, jsonb) IS 'notifies a program''s token, so that the program learns whether it hears';

CREATE FUNCTION rt_private.stat_relay(
    OUT pid integer, OUT last_pos bigint, OUT events bigint, OUT batches bigint, OUT largest_batch bigint,
    OUT lag interval, OUT largest_lag interval, OUT ring_bytes bigint, OUT ring_used bigint, OUT ring_high_water bigint,
    OUT published bigint, OUT lost bigint, OUT rescans bigint, OUT rescued bigint, OUT notify_failures bigint,
    OUT stats_reset timestamptz, OUT oldest_wait interval, OUT blocker_pid integer, OUT rooms_held bigint, OUT lag_sum interval, OUT lag_counts bigint[], OUT lag_bounds_us bigint[])
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rt_stat_relay';
COMMENT ON FUNCTION rt_private.stat_relay() IS 'statistics of this database''s relay and ring';

CREATE FUNCTION rt_private.reset_relay_stats() RETURNS void
LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rt_reset_relay_stats';
COMMENT ON FUNCTION rt_private.reset_relay_stats() IS 'resets the counters of rt.stat_relay';

CREATE VIEW rt.stat_relay AS
    SELECT s.pid, s.last_pos, s.events, s.batches, s.largest_batch, s.lag, s.lag_sum / nullif(t.measured, 0) AS mean_lag,
           s.largest_lag, s.ring_bytes, s.ring_used, s.ring_high_water, s.published, s.lost, s.rescans, s.rescued,
           s.notify_failures, s.stats_reset, s.oldest_wait, s.blocker_pid,
           (SELECT a.wait_event_type || ': ' || a.wait_event FROM pg_catalog.pg_stat_get_activity(coalesce(s.blocker_pid, s.pid)) AS a
            WHERE s.oldest_wait IS NOT NULL) AS waits_for, s.rooms_held
    FROM rt_private.stat_relay() s
    CROSS JOIN LATERAL (SELECT sum(n)::float8 AS measured FROM unnest(s.lag_counts) AS n) AS t;
COMMENT ON VIEW rt.stat_relay IS 'statistics of this database''s relay';
COMMENT ON COLUMN rt.stat_relay.pid IS 'process id of the relay; null if not running';
COMMENT ON COLUMN rt.stat_relay.last_pos IS 'position of the last event in rt.events';
COMMENT ON COLUMN rt.stat_relay.events IS 'events sent';
COMMENT ON COLUMN rt.stat_relay.batches IS 'transactions in which it sent them';
COMMENT ON COLUMN rt.stat_relay.largest_batch IS 'largest number of events in one transaction';
COMMENT ON COLUMN rt.stat_relay.lag IS 'age of the oldest event in the last batch when sent';
COMMENT ON COLUMN rt.stat_relay.mean_lag IS 'mean lag over all batches; null if there was none';
COMMENT ON COLUMN rt.stat_relay.largest_lag IS 'largest lag';
COMMENT ON COLUMN rt.stat_relay.ring_bytes IS 'size of the ring, rt.ring_size';
COMMENT ON COLUMN rt.stat_relay.ring_used IS 'bytes used in the ring';
COMMENT ON COLUMN rt.stat_relay.ring_high_water IS 'largest number of bytes used';
COMMENT ON COLUMN rt.stat_relay.published IS 'transactions that put events into the ring';
COMMENT ON COLUMN rt.stat_relay.lost IS 'transactions that found the ring full; their messages are recovered from the tables';
COMMENT ON COLUMN rt.stat_relay.rescans IS 'scans of the tables for messages missing from the log';
COMMENT ON COLUMN rt.stat_relay.rescued IS 'events found by rescans';
COMMENT ON COLUMN rt.stat_relay.notify_failures IS 'batches logged without notifications because the notification queue was full';
COMMENT ON COLUMN rt.stat_relay.oldest_wait IS 'age of the oldest unsent event; null if none waits. See rt.max_relay_wait';
COMMENT ON COLUMN rt.stat_relay.blocker_pid IS 'process id of the session whose commit that event waits for; null if the relay itself is behind';
COMMENT ON COLUMN rt.stat_relay.waits_for IS 'wait event of that session, or of the relay';
COMMENT ON COLUMN rt.stat_relay.rooms_held IS 'rooms whose old messages rt.retain_messages could not remove, because another table refers to them or a trigger keeps them';
COMMENT ON COLUMN rt.stat_relay.stats_reset IS 'since when all this is counted: rt.reset_stats() or the server''s start';

-- Locks that no writer gets past, held or waited for: whoever comes later waits behind a waiter, too.  Reads catalogs alone, so it answers
-- whatever is locked.
CREATE FUNCTION rt_private.stat_table_locks()
RETURNS TABLE (pid integer, table_name text, mode text, granted boolean, since timestamptz, waiting bigint, blocked_by integer[], query text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	WITH all_locks AS MATERIALIZED (SELECT * FROM pg_locks),
	locks AS MATERIALIZED (
		SELECT l.pid, l.relation, l.mode, l.granted, l.waitstart, l.virtualtransaction FROM all_locks AS l
		WHERE l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
	)
	SELECT l.pid, n.nspname || '.' || c.relname, l.mode, l.granted, CASE WHEN l.granted THEN coalesce(a.xact_start, p.prepared) ELSE l.waitstart END,
		(SELECT count(*) FROM locks AS w WHERE w.relation = l.relation AND NOT w.granted AND w.pid IS DISTINCT FROM l.pid),
		CASE WHEN l.granted THEN '{}' ELSE pg_blocking_pids(l.pid) END, coalesce(a.query, 'PREPARE TRANSACTION ' || quote_literal(p.gid))
	FROM locks AS l JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace
	LEFT JOIN LATERAL (SELECT * FROM pg_stat_get_activity(l.pid) WHERE l.pid IS NOT NULL) AS a ON true
	-- It keeps the name of its session's transaction until a restart.  The lock on its own number says which it is.
	LEFT JOIN all_locks AS x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid' AND x.mode = 'ExclusiveLock'
		AND x.virtualtransaction = l.virtualtransaction
	LEFT JOIN pg_prepared_xacts AS p ON p.transaction = x.transactionid
	WHERE n.nspname IN ('rt', 'rt_private') AND c.relkind = 'r'
		AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
$$;
COMMENT ON FUNCTION rt_private.stat_table_locks() IS 'locks on whole tables of rt that keep writers waiting, and sessions that wait for such a lock';

CREATE VIEW rt.stat_locks AS
	SELECT l.pid, l.table_name, l.mode, l.granted, l.since, l.waiting, l.blocked_by, l.query FROM rt_private.stat_table_locks() AS l;
COMMENT ON VIEW rt.stat_locks IS 'locks on whole tables of rt that keep writers waiting, such as those of LOCK TABLE, ALTER TABLE, CREATE INDEX or VACUUM FULL';
COMMENT ON COLUMN rt.stat_locks.pid IS 'process id of the session; null: a prepared transaction';
COMMENT ON COLUMN rt.stat_locks.table_name IS 'the table';
COMMENT ON COLUMN rt.stat_locks.mode IS 'the lock, as in pg_locks; AccessExclusiveLock keeps readers waiting, too';
COMMENT ON COLUMN rt.stat_locks.granted IS 'false: the session waits for the lock, and others wait behind it';
COMMENT ON COLUMN rt.stat_locks.since IS 'when its transaction began, or when it began to wait';
COMMENT ON COLUMN rt.stat_locks.waiting IS 'sessions that wait for the table';
COMMENT ON COLUMN rt.stat_locks.blocked_by IS 'process ids that it waits for';
COMMENT ON COLUMN rt.stat_locks.query IS 'last statement of the session';

-- For the gateways' /metrics and /readyz.  Without the four tables nothing can be sent; readers wait for an exclusive lock alone.
CREATE FUNCTION rt_private.lock_figures() RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT json_build_object('tables', count(DISTINCT l.table_name),
		'oldestUs', coalesce((extract(epoch FROM clock_timestamp() - min(l.since)) * 1000000)::bigint, 0),
		'exclusive', coalesce(bool_or(l.mode = 'AccessExclusiveLock'), false),
		'locked', current_setting('rt.max_relay_wait')::interval > interval '0' AND coalesce(bool_or(l.mode = 'AccessExclusiveLock'
			AND l.table_name IN ('rt.messages', 'rt.rooms', 'rt.room_members', 'rt.users')
			AND l.since < clock_timestamp() - current_setting('rt.max_relay_wait')::interval), false))
	FROM rt_private.stat_table_locks() AS l
$$;
COMMENT ON FUNCTION rt_private.lock_figures() IS 'what rt.stat_locks shows, for metrics';

REVOKE ALL ON FUNCTION rt_private.emit(text, json, json, boolean, bigint, bigint),
    rt_private.change_payload(rt.messages, text),
    rt_private.event_text(bigint, text, text, bigint, text), rt_private.event_text(rt.events),
    rt_private.stat_relay(), rt_private.reset_relay_stats(), rt_private.stat_table_locks(), rt_private.lock_figures(), rt_api.events_since(text, jsonb), rt_api.echo(text, jsonb) FROM PUBLIC;
REVOKE ALL ON rt.events, rt_private.relay_state, rt.stat_relay, rt.stat_locks FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt_api.events_since(text, jsonb), rt_api.echo(text, jsonb) TO rt_gateway;
GRANT EXECUTE ON FUNCTION rt_api.echo(text, jsonb) TO rt_media;
GRANT EXECUTE ON FUNCTION rt_private.stat_relay(), rt_private.stat_table_locks() TO pg_monitor;
GRANT SELECT ON rt.stat_relay, rt.stat_locks TO pg_monitor;
