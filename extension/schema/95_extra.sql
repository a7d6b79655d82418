-- 95_extra.sql: what a DBA has added to the tables.  A dump has tables, but not the indexes, constraints, triggers and policies that
-- somebody made on an extension's tables; rt.extra_ddl() tells them, to save beside the dump.

CREATE TABLE rt_private.own_ddl (
	kind text,
	relation text,
	name text,
	PRIMARY KEY (kind, relation, name)
);
COMMENT ON TABLE rt_private.own_ddl IS 'indexes, constraints, triggers and policies that the extension itself made';
COMMENT ON COLUMN rt_private.own_ddl.kind IS 'index, constraint, foreign key, trigger or policy';
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
	UNION ALL
	SELECT CASE k.contype WHEN 'f' THEN 'foreign key' ELSE 'constraint' END, t.name, k.conname::text,
		format('ALTER TABLE %s ADD CONSTRAINT %I %s', t.name, k.conname, pg_get_constraintdef(k.oid)), false
	FROM tables AS t JOIN pg_constraint AS k ON k.conrelid = t.oid WHERE k.contype IN ('c', 'f', 'p', 'u', 'x') AND k.conparentid = 0
$$;
COMMENT ON FUNCTION rt_private.all_ddl() IS 'indexes, constraints, triggers and policies on the tables of rt';

-- All that the extension makes is described but its constraints, so in a database that is updated what others have made before is told
-- from it.
INSERT INTO rt_private.own_ddl SELECT a.kind, a.relation, a.name FROM rt_private.all_ddl() AS a WHERE a.described ON CONFLICT DO NOTHING;

INSERT INTO rt_private.own_ddl
SELECT CASE WHEN pg_catalog.right(k.name, 5) OPERATOR(pg_catalog.=) '_fkey' THEN 'foreign key' ELSE 'constraint' END, t.relation, k.name
FROM (VALUES
	('rt.blocks', '{blocks_blocked_id_fkey, blocks_check, blocks_pkey, blocks_user_id_fkey}'),
	('rt.deleted_messages', '{deleted_messages_pkey, deleted_messages_room_id_fkey, deleted_messages_sender_id_fkey}'),
	('rt.events', '{events_pkey}'),
	('rt.ice_servers', '{ice_servers_pkey, ice_servers_url}'),
	('rt.meeting_bans', '{meeting_bans_banned_by_fkey, meeting_bans_meeting_id_fkey, meeting_bans_pkey, meeting_bans_user_id_fkey}'),
	('rt.meeting_invitees',
		'{meeting_invitees_invited_by_fkey, meeting_invitees_meeting_id_fkey, meeting_invitees_pkey, meeting_invitees_role,
		meeting_invitees_user_id_fkey}'),
	('rt.meeting_messages',
		'{meeting_messages_meeting_id_fkey, meeting_messages_not_empty, meeting_messages_pkey, meeting_messages_recipient,
		meeting_messages_recipient_id_fkey, meeting_messages_recipient_participant_id_fkey, meeting_messages_recipient_type,
		meeting_messages_sender_id_fkey, meeting_messages_sender_participant_id_fkey}'),
	('rt.meeting_participants',
		'{meeting_participants_left, meeting_participants_left_reason, meeting_participants_meeting_id_fkey, meeting_participants_name_length,
		meeting_participants_pkey, meeting_participants_removal_length, meeting_participants_removed_by_fkey, meeting_participants_role,
		meeting_participants_user_id_fkey}'),
	('rt.meeting_recordings',
		'{meeting_recordings_meeting_id_fkey, meeting_recordings_order, meeting_recordings_pkey, meeting_recordings_started_by_fkey,
		meeting_recordings_stopped_by_fkey}'),
	('rt.meeting_waiting',
		'{meeting_waiting_decided_by_fkey, meeting_waiting_meeting_id_fkey, meeting_waiting_name_length, meeting_waiting_pkey,
		meeting_waiting_status, meeting_waiting_user, meeting_waiting_user_id_fkey}'),
	('rt.meetings',
		'{meetings_access, meetings_capacity, meetings_ended_by_fkey, meetings_guests, meetings_host_id_fkey, meetings_lifecycle,
		meetings_pkey, meetings_room_id_fkey, meetings_started_by_fkey, meetings_status, meetings_title_length}'),
	('rt.messages', '{messages_pkey, messages_room_id_fkey, messages_sender_id_fkey}'),
	('rt.pins', '{pins_pinned_by_fkey, pins_pkey, pins_room_id_seq_fkey}'),
	('rt.presence', '{presence_chosen_check, presence_pkey, presence_status_check, presence_status_message_check, presence_user_id_fkey}'),
	('rt.reactions', '{reactions_emoji_check, reactions_pkey, reactions_room_id_seq_fkey, reactions_user_id_fkey}'),
	('rt.room_invitations',
		'{room_invitations_invited_by_fkey, room_invitations_pkey, room_invitations_role_check, room_invitations_room_id_fkey,
		room_invitations_user_id_fkey}'),
	('rt.room_members',
		'{room_members_last_read_seq_check, room_members_notify_check, room_members_pkey, room_members_role_check, room_members_room_id_fkey,
		room_members_user_id_fkey}'),
	('rt.rooms',
		'{rooms_created_by_fkey, rooms_direct, rooms_direct_key_key, rooms_history_check, rooms_kind_check, rooms_last_seq_check,
		rooms_name_check, rooms_pkey, rooms_topic_check, rooms_who_may_add_check, rooms_who_may_mention_all_check, rooms_who_may_pin_check,
		rooms_who_may_post_check}'),
	('rt.sessions', '{sessions_pkey, sessions_user_id_fkey}'),
	('rt.threads', '{threads_pkey, threads_room_id_fkey}'),
	('rt.users', '{users_id_check, users_name_check, users_pkey, users_username_check}'),
	('rt_private.admin_claims', '{admin_claims_pkey, admin_claims_user_id_fkey}'),
	('rt_private.change_counters', '{change_counters_pkey, change_counters_room_id_fkey}'),
	('rt_private.clock', '{clock_one_check, clock_pkey}'),
	('rt_private.connections', '{connections_pkey, connections_status_check}'),
	('rt_private.deleted_users', '{deleted_users_pkey}'),
	('rt_private.epochs', '{epochs_pkey}'),
	('rt_private.gateway_numbers', '{gateway_numbers_number_check, gateway_numbers_number_key, gateway_numbers_pkey}'),
	('rt_private.gateway_secret', '{gateway_secret_only_row_check, gateway_secret_pkey}'),
	('rt_private.gateways', '{gateways_pkey}'),
	('rt_private.guests', '{guests_id, guests_pkey, guests_user_id_fkey}'),
	('rt_private.issuer_keys', '{issuer_keys_issuer_fkey, issuer_keys_pkey}'),
	('rt_private.issuers',
		'{issuers_admin, issuers_audiences_check, issuers_issuer_check, issuers_pkey, issuers_token_lifetime_check,
		issuers_user_claim_check}'),
	('rt_private.keys',
		'{keys_alg_check, keys_can_sign, keys_kid_check, keys_pkey, keys_private, keys_public, keys_secret, keys_secret_length}'),
	('rt_private.login_addresses', '{login_addresses_pkey, login_addresses_user_id_fkey}'),
	('rt_private.media_consumers',
		'{media_consumers_kind_check, media_consumers_pkey, media_consumers_producer_id_fkey, media_consumers_transport_id_fkey}'),
	('rt_private.media_producers',
		'{media_producers_kind_check, media_producers_pkey, media_producers_source_check, media_producers_transport_id_fkey}'),
	('rt_private.media_requests', '{media_requests_pkey}'),
	('rt_private.media_routers', '{media_routers_meeting_id_key, media_routers_pkey}'),
	('rt_private.media_transports', '{media_transports_direction_check, media_transports_pkey}'),
	('rt_private.media_workers', '{media_workers_capacity_check, media_workers_load_check, media_workers_pkey, media_workers_slot_key}'),
	('rt_private.mentions', '{mentions_pkey, mentions_room_id_seq_fkey, mentions_user_id_fkey}'),
	('rt_private.mentions_all', '{mentions_all_pkey, mentions_all_room_id_seq_fkey}'),
	('rt_private.own_ddl', '{own_ddl_pkey}'),
	('rt_private.password_updates', '{password_updates_pkey}'),
	('rt_private.receipt_ranges',
		'{receipt_ranges_check, receipt_ranges_kind_check, receipt_ranges_pkey, receipt_ranges_room_id_user_id_fkey}'),
	('rt_private.relay_state', '{relay_state_one_check, relay_state_pkey}'),
	('rt_private.revoked_sessions', '{revoked_sessions_pkey}'),
	('rt_private.room_changes', '{room_changes_pkey, room_changes_room_id_fkey}'),
	('rt_private.room_presence', '{room_presence_pkey}'),
	('rt_private.room_sizes', '{room_sizes_pkey, room_sizes_room_id_fkey}'),
	('rt_private.sessions', '{sessions_pkey}'),
	('rt_private.token_floors', '{token_floors_pkey, token_floors_user_id_fkey}'),
	('rt_private.two_factor', '{two_factor_pkey, two_factor_user_id_fkey}')
) AS t (relation, names), pg_catalog.unnest(t.names::pg_catalog.text[]) AS k (name) ON CONFLICT DO NOTHING;

CREATE FUNCTION rt.extra_ddl() RETURNS SETOF text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
	SELECT a.ddl || ';' FROM rt_private.all_ddl() AS a
	WHERE NOT EXISTS (SELECT FROM rt_private.own_ddl AS o WHERE o.kind = a.kind AND o.relation = a.relation AND o.name = a.name)
	ORDER BY a.kind = 'foreign key', a.kind, a.relation, a.name -- a foreign key needs the unique index of what it refers to
$$;
COMMENT ON FUNCTION rt.extra_ddl() IS
	'returns the statements that make the indexes, constraints, triggers and policies that you have added to tables of rt; a dump does not contain them';
REVOKE ALL ON FUNCTION rt_private.all_ddl(), rt.extra_ddl() FROM PUBLIC;
REVOKE ALL ON TABLE rt_private.own_ddl FROM PUBLIC;
