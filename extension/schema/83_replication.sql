-- 83_replication.sql: logical replication: a subscriber refuses to write what another server writes, and tells its own clients.
--
-- The worker of a subscription fires triggers for rows alone, and of these those that are ENABLE ALWAYS or ENABLE REPLICA.  What it
-- brings was checked, numbered and counted by the publisher, so the triggers of messages and reactions only tell of it there.

-- ---- who writes ----------------------------------------------------------------------

CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.users FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.users IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.rooms FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.rooms IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.room_members FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.room_members IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.messages FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.messages IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.reactions FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.reactions IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.pins FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.pins IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.blocks FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.blocks IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.room_invitations FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.room_invitations IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meetings FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.meetings IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meeting_invitees FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.meeting_invitees IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meeting_bans FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.meeting_bans IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meeting_participants FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.meeting_participants IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meeting_messages FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.meeting_messages IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meeting_recordings FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.meeting_recordings IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.meeting_waiting FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.meeting_waiting IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt.sessions FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt.sessions IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt_private.receipt_ranges FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt_private.receipt_ranges IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt_private.keys FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt_private.keys IS 'refuses to write what a subscription replicates to this server';
CREATE TRIGGER aa_rt_foreign BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON rt_private.issuers FOR EACH STATEMENT
	EXECUTE FUNCTION rt_private.refuse_foreign();
COMMENT ON TRIGGER aa_rt_foreign ON rt_private.issuers IS 'refuses to write what a subscription replicates to this server';

-- ---- telling of what comes by replication -------------------------------------------

-- One row at a time, where the triggers of this server look at whole statements.
CREATE FUNCTION rt_private.replicated() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	room rt.rooms;
	member record := CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
	action text := CASE TG_OP WHEN 'INSERT' THEN 'added' WHEN 'DELETE' THEN 'removed' ELSE 'role' END;
BEGIN
	IF NOT rt_private.is_applying() THEN
		RETURN NULL; -- a restore
	END IF;
	IF TG_RELID = 'rt.deleted_messages'::regclass THEN
		PERFORM rt_private.message_event('chat-message-deleted', 'message-deleted', NEW.room_id, NEW.seq,
			jsonb_build_object('deletedBy', coalesce(NEW.deleted_by, NEW.sender_id)));
		RETURN NULL;
	ELSIF TG_RELID = 'rt_private.revoked_sessions'::regclass THEN
		PERFORM rt_private.tell_revoked((SELECT s.user_id FROM rt.sessions AS s WHERE s.id = NEW.sid), ARRAY[NEW.sid], NEW.until, NULL);
		RETURN NULL;
	ELSIF TG_RELID = 'rt_private.token_floors'::regclass THEN
		PERFORM rt_private.tell_revoked(NEW.user_id, '{}', NULL, NEW.issued_after);
		RETURN NULL;
	END IF;
	SELECT r.* INTO room FROM rt.rooms AS r WHERE r.id = member.room_id;
	IF NOT FOUND OR (TG_OP = 'UPDATE' AND OLD.role = NEW.role) THEN
		RETURN NULL;
	END IF;
	IF TG_OP <> 'UPDATE' THEN
		PERFORM rt_private.member_changed(room.id, member.user_id, TG_OP = 'INSERT');
		PERFORM rt_private.notify_users(ARRAY[member.user_id], 'room-' || action, rt_private.room_data(room), room.id);
	END IF;
	PERFORM rt_private.tell_members(room.id, action, json_build_array(json_build_object('userId', member.user_id,
		'userName', rt_private.user_name(member.user_id), 'role', member.role)), NULL);
	RETURN NULL;
END
$$;
COMMENT ON FUNCTION rt_private.replicated() IS 'emits what a replicated row means';

CREATE TRIGGER rt_replicated AFTER INSERT OR UPDATE OR DELETE ON rt.room_members FOR EACH ROW EXECUTE FUNCTION rt_private.replicated();
COMMENT ON TRIGGER rt_replicated ON rt.room_members IS 'emits what a replicated row means; rt.serve_replica() enables it';
ALTER TABLE rt.room_members DISABLE TRIGGER rt_replicated;
CREATE TRIGGER rt_replicated AFTER INSERT ON rt.deleted_messages FOR EACH ROW EXECUTE FUNCTION rt_private.replicated();
COMMENT ON TRIGGER rt_replicated ON rt.deleted_messages IS 'emits what a replicated row means; rt.serve_replica() enables it';
ALTER TABLE rt.deleted_messages DISABLE TRIGGER rt_replicated;
CREATE TRIGGER rt_replicated AFTER INSERT ON rt_private.revoked_sessions FOR EACH ROW EXECUTE FUNCTION rt_private.replicated();
COMMENT ON TRIGGER rt_replicated ON rt_private.revoked_sessions IS 'emits what a replicated row means; rt.serve_replica() enables it';
ALTER TABLE rt_private.revoked_sessions DISABLE TRIGGER rt_replicated;
CREATE TRIGGER rt_replicated AFTER INSERT OR UPDATE ON rt_private.token_floors FOR EACH ROW EXECUTE FUNCTION rt_private.replicated();
COMMENT ON TRIGGER rt_replicated ON rt_private.token_floors IS 'emits what a replicated row means; rt.serve_replica() enables it';
ALTER TABLE rt_private.token_floors DISABLE TRIGGER rt_replicated;

CREATE FUNCTION rt.serve_replica(enable boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	t record;
	always text := CASE WHEN enable THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END;
	replica text := CASE WHEN enable THEN 'ENABLE REPLICA' ELSE 'DISABLE' END;
BEGIN
	FOR t IN SELECT * FROM (VALUES ('rt.messages', 'rt_after_insert', always), ('rt.messages', 'rt_after_update', always),
		('rt.reactions', 'rt_after_change', always), ('rt.pins', 'rt_after_change', always),
		('rt.rooms', 'rooms_before_delete', always), ('rt.rooms', 'rooms_after_update', always),
		('rt.room_members', 'rt_replicated', replica), ('rt.deleted_messages', 'rt_replicated', replica),
		('rt_private.revoked_sessions', 'rt_replicated', replica), ('rt_private.token_floors', 'rt_replicated', replica)) AS v (name, trigger, mode)
	LOOP
		EXECUTE format('ALTER TABLE %s %s TRIGGER %I', t.name, t.mode, t.trigger);
	END LOOP;
END
$$;
COMMENT ON FUNCTION rt.serve_replica(boolean) IS
	'on a subscriber: its own clients get messages, edits, deletions, reactions, pins, rooms and members as they are replicated; false ends that';
REVOKE ALL ON FUNCTION rt_private.replicated(), rt.serve_replica(boolean) FROM PUBLIC;
