-- 42_changes.sql: what changed in a room since a client last looked: edits, deletions, reactions, pins.
--
-- Each change takes the next number of its room.  The counter's row lock is held until the commit, so whoever sees change n sees all
-- below it.  The numbers are given when the transaction commits (deferred triggers): a transaction holds the counter for its last
-- moments only, and always after the rows that it has changed, so two of them cannot wait for each other.  INSERT of a message
-- touches nothing of this.

CREATE TABLE rt_private.change_counters (
	room_id bigint PRIMARY KEY REFERENCES rt.rooms (id) ON DELETE CASCADE,
	last_change bigint NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE rt_private.change_counters IS 'number of the last change in each room';
COMMENT ON COLUMN rt_private.change_counters.room_id IS 'the room';
COMMENT ON COLUMN rt_private.change_counters.last_change IS 'the number; the row lock orders the room''s changes';
SELECT pg_catalog.pg_extension_config_dump('rt_private.change_counters', '');

CREATE TABLE rt_private.room_changes (
	room_id bigint NOT NULL REFERENCES rt.rooms (id) ON DELETE CASCADE,
	seq bigint NOT NULL,
	change bigint NOT NULL,
	PRIMARY KEY (room_id, seq)
) WITH (fillfactor = 80);
CREATE INDEX room_changes_change_idx ON rt_private.room_changes (room_id, change);
COMMENT ON TABLE rt_private.room_changes IS 'messages that have changed since they were sent, with the number of the latest change';
COMMENT ON COLUMN rt_private.room_changes.room_id IS 'the room';
COMMENT ON COLUMN rt_private.room_changes.seq IS 'the message';
COMMENT ON COLUMN rt_private.room_changes.change IS 'the number of its latest change';
COMMENT ON INDEX rt_private.room_changes_change_idx IS 'finds changes after a number';
SELECT pg_catalog.pg_extension_config_dump('rt_private.room_changes', '');

-- A restore copies messages and reactions first, whose triggers have numbered them anew: the rows of the dump win, and the counter
-- never falls.
CREATE FUNCTION rt_private.change_counters_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF pg_trigger_depth() = 1 THEN
		DELETE FROM rt_private.change_counters AS c WHERE c.room_id = NEW.room_id AND c.last_change <= NEW.last_change;
		IF EXISTS (SELECT FROM rt_private.change_counters AS c WHERE c.room_id = NEW.room_id) THEN
			RETURN NULL;
		END IF;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.change_counters_before_insert() IS 'lets a restore raise counters, never lower them';
CREATE TRIGGER rt_before_insert BEFORE INSERT ON rt_private.change_counters FOR EACH ROW
	EXECUTE FUNCTION rt_private.change_counters_before_insert();
COMMENT ON TRIGGER rt_before_insert ON rt_private.change_counters IS 'lets a restore raise counters, never lower them';

CREATE FUNCTION rt_private.room_changes_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	IF pg_trigger_depth() = 1 THEN
		DELETE FROM rt_private.room_changes AS c WHERE c.room_id = NEW.room_id AND c.seq = NEW.seq;
	END IF;
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.room_changes_before_insert() IS 'lets a restore replace rows that its own triggers have stored';
CREATE TRIGGER rt_before_insert BEFORE INSERT ON rt_private.room_changes FOR EACH ROW
	EXECUTE FUNCTION rt_private.room_changes_before_insert();
COMMENT ON TRIGGER rt_before_insert ON rt_private.room_changes IS 'lets a restore replace rows that its own triggers have stored';

-- A room that is gone takes its changes along.
CREATE FUNCTION rt_private.number_change(room_id bigint, seq bigint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	number bigint;
BEGIN
	INSERT INTO rt_private.change_counters AS c (room_id, last_change)
	SELECT r.id, 1 FROM rt.rooms AS r WHERE r.id = number_change.room_id
	ON CONFLICT ON CONSTRAINT change_counters_pkey DO UPDATE SET last_change = c.last_change + 1
	RETURNING c.last_change INTO number;
	IF number IS NOT NULL THEN
		INSERT INTO rt_private.room_changes AS c (room_id, seq, change) VALUES (number_change.room_id, number_change.seq, number)
		ON CONFLICT ON CONSTRAINT room_changes_pkey DO UPDATE SET change = number;
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.number_change(bigint, bigint) IS 'assigns the room''s next change number to a message';

-- One new version of the counter, whatever their number.
CREATE FUNCTION rt_private.number_changes(room_id bigint, seqs bigint[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	number bigint;
BEGIN
	INSERT INTO rt_private.change_counters AS c (room_id, last_change)
	SELECT r.id, cardinality(seqs) FROM rt.rooms AS r WHERE r.id = number_changes.room_id
	ON CONFLICT ON CONSTRAINT change_counters_pkey DO UPDATE SET last_change = c.last_change + cardinality(seqs)
	RETURNING c.last_change - cardinality(seqs) INTO number;
	IF number IS NOT NULL THEN
		INSERT INTO rt_private.room_changes AS c (room_id, seq, change)
		SELECT number_changes.room_id, s.seq, number + max(s.n) FROM unnest(seqs) WITH ORDINALITY AS s (seq, n) GROUP BY s.seq
		ON CONFLICT ON CONSTRAINT room_changes_pkey DO UPDATE SET change = excluded.change;
	END IF;
END
$$;
COMMENT ON FUNCTION rt_private.number_changes(bigint, bigint[]) IS 'assigns the next change numbers to messages of a room, one to each change in their order';

-- Triggers note changes as they happen.  Deferred triggers, one event for each noted row, number them at commit: the first that fires
-- numbers all (extension/changes/change.c).
CREATE FUNCTION rt_private.note_change(room_id bigint, seq bigint) RETURNS void
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_note_change';
COMMENT ON FUNCTION rt_private.note_change(bigint, bigint) IS 'notes a changed message, to be numbered at commit';

CREATE FUNCTION rt_private.note_changes(room_id bigint, seqs bigint[]) RETURNS boolean
LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rt_note_changes';
COMMENT ON FUNCTION rt_private.note_changes(bigint, bigint[]) IS 'notes changed messages of a room; true if the caller must see to it that they are numbered';

CREATE FUNCTION rt_private.number_noted() RETURNS void
LANGUAGE c AS 'MODULE_PATHNAME', 'rt_number_noted';
COMMENT ON FUNCTION rt_private.number_noted() IS 'numbers all changes that the transaction has noted';

CREATE FUNCTION rt_private.row_changed() RETURNS trigger
LANGUAGE c SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'MODULE_PATHNAME', 'rt_row_changed';
COMMENT ON FUNCTION rt_private.row_changed() IS 'numbers all changes that the transaction has noted';

CREATE FUNCTION rt_private.last_change(room_id bigint) RETURNS bigint
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	RETURN coalesce((SELECT c.last_change FROM rt_private.change_counters AS c WHERE c.room_id = last_change.room_id), 0);
END
$$;
COMMENT ON FUNCTION rt_private.last_change(bigint) IS 'number of a room''s last change, 0 if there was none';

CREATE CONSTRAINT TRIGGER rt_changed AFTER UPDATE ON rt.messages DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	WHEN (OLD.deleted_at IS DISTINCT FROM NEW.deleted_at OR OLD.edited_at IS DISTINCT FROM NEW.edited_at)
	EXECUTE FUNCTION rt_private.row_changed();
COMMENT ON TRIGGER rt_changed ON rt.messages IS 'numbers an edit or a deletion, which rt_after_update has noted';

CREATE CONSTRAINT TRIGGER rt_changed AFTER INSERT OR DELETE ON rt.reactions DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
	EXECUTE FUNCTION rt_private.row_changed();
COMMENT ON TRIGGER rt_changed ON rt.reactions IS 'numbers an added or removed reaction, which rt_after_change has noted';

-- ---- where a member begins -----------------------------------------------------------

-- Whoever comes, or comes back, has nothing unread.  A restore brings its own values.
CREATE FUNCTION rt_private.room_members_before_insert() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	last_seq bigint := coalesce((SELECT rt_private.last_seq(r.id, r.last_seq) FROM rt.rooms AS r WHERE r.id = NEW.room_id), 0);
BEGIN
	NEW.last_read_seq := coalesce(NEW.last_read_seq, last_seq);
	NEW.first_seq := coalesce(NEW.first_seq, last_seq);
	NEW.first_change := coalesce(NEW.first_change, rt_private.last_change(NEW.room_id));
	RETURN NEW;
END
$$;
COMMENT ON FUNCTION rt_private.room_members_before_insert() IS 'lets a new member start with nothing unread';
CREATE TRIGGER rt_before_insert BEFORE INSERT ON rt.room_members FOR EACH ROW
	EXECUTE FUNCTION rt_private.room_members_before_insert();
COMMENT ON TRIGGER rt_before_insert ON rt.room_members IS 'lets a new member start with nothing unread';
