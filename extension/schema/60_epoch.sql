-- 60_epoch.sql: the epoch: one uninterrupted history of messages and positions.
--
-- A server that was promoted, or restored to an older state, may lack what clients have seen, and gives the same numbers to other
-- messages.  So it has another epoch, and its positions begin far behind the last one that it knows: a position of the lost part
-- of an older epoch lies in a gap, and never means another event.  The relay begins an epoch before it tells of anything.

CREATE FUNCTION rt_private.lineage() RETURNS text
LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'rt_lineage';
COMMENT ON FUNCTION rt_private.lineage() IS
	'which history of which server this database is: system identifier, timeline, where the timeline began, database';

CREATE TABLE rt_private.epochs (
	from_pos bigint PRIMARY KEY,
	after_pos bigint NOT NULL,
	epoch text NOT NULL,
	lineage text NOT NULL,
	is_new boolean NOT NULL DEFAULT true,
	began_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE rt_private.epochs IS 'where positions begin again behind a gap; the epoch of the highest from_pos is the present one';
COMMENT ON COLUMN rt_private.epochs.from_pos IS 'its positions are above this one';
COMMENT ON COLUMN rt_private.epochs.after_pos IS 'the last known position of the epoch before; what is between the two was lost';
COMMENT ON COLUMN rt_private.epochs.epoch IS 'what clients are told, random';
COMMENT ON COLUMN rt_private.epochs.lineage IS 'lineage() of then';
COMMENT ON COLUMN rt_private.epochs.is_new IS 'false: the same epoch goes on after a crash, which has lost no message';
COMMENT ON COLUMN rt_private.epochs.began_at IS 'when';

-- Between a promotion and the relay's beginning the last row is of another lineage: then the epoch is neither the old one nor the
-- new one, and changes once more.
CREATE FUNCTION rt.epoch() RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN (SELECT coalesce((SELECT e.epoch FROM (SELECT t.* FROM rt_private.epochs AS t ORDER BY t.from_pos DESC LIMIT 1) AS e
				WHERE e.lineage = l.lineage),
			'x' || left(md5(l.lineage || coalesce((SELECT max(t.from_pos) FROM rt_private.epochs AS t), 0)), 12))
		FROM rt_private.lineage() AS l (lineage));
END
$$;
COMMENT ON FUNCTION rt.epoch() IS
	'changes when a server with possibly fewer messages has taken over: numbers of messages and positions mean the same only within one';

CREATE FUNCTION rt_private.begin_epoch(last_pos bigint, crashed boolean, anew boolean) RETURNS bigint
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	present text := rt_private.lineage();
	e rt_private.epochs;
BEGIN
	SELECT t.* INTO e FROM rt_private.epochs AS t ORDER BY t.from_pos DESC LIMIT 1;
	IF e.lineage = present AND NOT crashed THEN
		RETURN last_pos;
	ELSIF e.lineage = present AND NOT anew THEN
		e.is_new := false;
		e.from_pos := last_pos + 1000000;
	ELSE
		-- By chance too: of two standbys that are promoted at the same point, one after the other, neither's positions are the other's.
		e.from_pos := last_pos + CASE WHEN e.epoch IS NULL THEN 0 ELSE 1000000000 + floor(random() * 1000000000)::bigint END;
		e.is_new := true;
		e.epoch := rt_private.random_text(9);
	END IF;
	DELETE FROM rt_private.epochs AS t WHERE NOT t.is_new AND t.began_at < clock_timestamp() - interval '1 day';
	INSERT INTO rt_private.epochs (from_pos, after_pos, epoch, lineage, is_new) VALUES (e.from_pos, last_pos, e.epoch, present, e.is_new);
	RETURN e.from_pos;
END
$$;
COMMENT ON FUNCTION rt_private.begin_epoch(bigint, boolean, boolean) IS
	'for the relay at its start: returns the position after which it continues; begins an epoch if the lineage has changed, or after a crash if anew is true';

-- After a crash a client may have positions of the gap; what these stood for is told again.
CREATE FUNCTION rt_private.is_lost(pos bigint) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT EXISTS (SELECT FROM rt_private.epochs AS e WHERE e.is_new AND e.after_pos < is_lost.pos AND is_lost.pos < e.from_pos)
$$;
COMMENT ON FUNCTION rt_private.is_lost(bigint) IS 'whether a position is of a part of an older epoch that this server never had';

SELECT rt_private.begin_epoch(0, false, false);

REVOKE ALL ON FUNCTION rt_private.lineage(), rt.epoch(), rt_private.begin_epoch(bigint, boolean, boolean), rt_private.is_lost(bigint) FROM PUBLIC;
REVOKE ALL ON rt_private.epochs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION rt.epoch() TO rt_app;
