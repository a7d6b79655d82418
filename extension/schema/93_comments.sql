-- What is not described where it is made: sequences, tables of rt_private, indexes, policies and triggers.

-- ---- sequences ---------------------------------------------------------------------------------

COMMENT ON SEQUENCE rt.rooms_id_seq IS 'ids of rooms';
COMMENT ON SEQUENCE rt.meetings_id_seq IS 'ids of meetings';
COMMENT ON SEQUENCE rt.meeting_participants_id_seq IS 'ids of participants';
COMMENT ON SEQUENCE rt.meeting_messages_id_seq IS 'ids of meetings'' messages';
COMMENT ON SEQUENCE rt.meeting_recordings_id_seq IS 'ids of recordings';
COMMENT ON SEQUENCE rt_private.media_requests_id_seq IS 'ids of requests';

-- ---- columns of rt_private ---------------------------------------------------------------------

COMMENT ON COLUMN rt_private.gateways.name IS 'the name that it gave itself, new at each start';
COMMENT ON COLUMN rt_private.gateways.host IS 'the host that it runs on';
COMMENT ON COLUMN rt_private.gateways.slot IS 'its number among the workers of the host';
COMMENT ON COLUMN rt_private.gateways.pid IS 'its process';
COMMENT ON COLUMN rt_private.gateways.port IS 'the TCP port that it listens on';
COMMENT ON COLUMN rt_private.gateways.started_at IS 'when it began to serve';
COMMENT ON COLUMN rt_private.gateways.reported_at IS 'when it reported last';
COMMENT ON COLUMN rt_private.gateways.stats IS 'its counters and figures';
COMMENT ON COLUMN rt_private.gateways.rooms IS 'its rooms with joined sockets, the largest ones';
COMMENT ON COLUMN rt_private.gateways.stats_reset IS 'since when the views count';
COMMENT ON COLUMN rt_private.connections.sid IS 'the socket''s id';
COMMENT ON COLUMN rt_private.connections.user_id IS 'whose it is';
COMMENT ON COLUMN rt_private.connections.gateway IS 'the gateway that has it';
COMMENT ON COLUMN rt_private.connections.peer IS 'the client''s address';
COMMENT ON COLUMN rt_private.connections.transport IS 'websocket or polling';
COMMENT ON COLUMN rt_private.connections.connected_at IS 'since when';
COMMENT ON COLUMN rt_private.connections.queued_bytes IS 'what waits for the client';
COMMENT ON COLUMN rt_private.sessions.pid IS 'the private id by which the client comes back';
COMMENT ON COLUMN rt_private.sessions.sid IS 'the socket''s id, which it keeps';
COMMENT ON COLUMN rt_private.sessions.user_id IS 'whose it is';
COMMENT ON COLUMN rt_private.sessions.joined IS 'the rooms that it had joined';
COMMENT ON COLUMN rt_private.sessions.ended_at IS 'when the connection ended; null: it is there';
COMMENT ON COLUMN rt_private.media_workers.addresses IS 'the addresses that it is reached at';
COMMENT ON COLUMN rt_private.media_workers.udp_port IS 'its UDP port';
COMMENT ON COLUMN rt_private.media_workers.tcp_port IS 'its TCP port';
COMMENT ON COLUMN rt_private.media_workers.fingerprint IS 'of its DTLS certificate';
COMMENT ON COLUMN rt_private.media_workers.can_record IS 'whether it can record';
COMMENT ON COLUMN rt_private.media_workers.started_at IS 'when it began to serve';
COMMENT ON COLUMN rt_private.media_workers.heartbeat_at IS 'when it was heard of last';
COMMENT ON COLUMN rt_private.media_routers.id IS 'the router''s id on the wire';
COMMENT ON COLUMN rt_private.media_routers.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_routers.worker IS 'the media worker that has it';
COMMENT ON COLUMN rt_private.media_routers.created_at IS 'when it was made';
COMMENT ON COLUMN rt_private.media_transports.id IS 'its id on the wire';
COMMENT ON COLUMN rt_private.media_transports.router_id IS 'the router';
COMMENT ON COLUMN rt_private.media_transports.worker IS 'the media worker that has it';
COMMENT ON COLUMN rt_private.media_transports.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_transports.participant_id IS 'whose it is';
COMMENT ON COLUMN rt_private.media_transports.direction IS 'send: from the client; recv: to it';
COMMENT ON COLUMN rt_private.media_transports.stats IS 'its figures, as the worker reports them';
COMMENT ON COLUMN rt_private.media_transports.created_at IS 'when it was made';
COMMENT ON COLUMN rt_private.media_producers.id IS 'its id on the wire';
COMMENT ON COLUMN rt_private.media_producers.transport_id IS 'the transport that it comes in by';
COMMENT ON COLUMN rt_private.media_producers.worker IS 'the media worker that has it';
COMMENT ON COLUMN rt_private.media_producers.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_producers.participant_id IS 'whose it is';
COMMENT ON COLUMN rt_private.media_producers.kind IS 'audio or video';
COMMENT ON COLUMN rt_private.media_producers.source IS 'what is shown or heard: camera, microphone, screen, screen-audio';
COMMENT ON COLUMN rt_private.media_producers.type IS 'simple, simulcast or svc';
COMMENT ON COLUMN rt_private.media_producers.stats IS 'its figures, as the worker reports them';
COMMENT ON COLUMN rt_private.media_producers.created_at IS 'when it was made';
COMMENT ON COLUMN rt_private.media_consumers.id IS 'its id on the wire';
COMMENT ON COLUMN rt_private.media_consumers.transport_id IS 'the transport that it goes out by';
COMMENT ON COLUMN rt_private.media_consumers.producer_id IS 'the stream that it passes on';
COMMENT ON COLUMN rt_private.media_consumers.worker IS 'the media worker that has it';
COMMENT ON COLUMN rt_private.media_consumers.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_consumers.participant_id IS 'who receives it';
COMMENT ON COLUMN rt_private.media_consumers.kind IS 'audio or video';
COMMENT ON COLUMN rt_private.media_consumers.paused IS 'by the one who receives it; so it begins';
COMMENT ON COLUMN rt_private.media_consumers.stats IS 'its figures, as the worker reports them';
COMMENT ON COLUMN rt_private.media_consumers.created_at IS 'when it was made';
COMMENT ON COLUMN rt_private.media_requests.id IS 'the order in which they are carried out';
COMMENT ON COLUMN rt_private.media_requests.worker IS 'the media worker that is to do it';
COMMENT ON COLUMN rt_private.media_requests.op IS 'what is to be done';
COMMENT ON COLUMN rt_private.media_requests.meeting_id IS 'the meeting';
COMMENT ON COLUMN rt_private.media_requests.participant_id IS 'who asks, or whom it concerns';
COMMENT ON COLUMN rt_private.media_requests.gateway IS 'the gateway that gets the answer; null: a command, which has none';
COMMENT ON COLUMN rt_private.media_requests.socket_id IS 'the socket that asked';
COMMENT ON COLUMN rt_private.media_requests.created_at IS 'when it was asked';
COMMENT ON COLUMN rt_private.outgoing.n IS 'its place in the batch';
COMMENT ON COLUMN rt_private.outgoing.actor IS 'the sender';
COMMENT ON COLUMN rt_private.outgoing.content IS 'the text';
COMMENT ON COLUMN rt_private.outgoing.message_type IS 'the application''s sort of message';
COMMENT ON COLUMN rt_private.outgoing.metadata IS 'the application''s object';
COMMENT ON COLUMN rt_private.outgoing.reply_to IS 'number of the message that it answers';
COMMENT ON COLUMN rt_private.outgoing.client_id IS 'the sender''s own id of it';
COMMENT ON COLUMN rt_private.outgoing.code IS 'why it cannot be sent, for programs; null: it can';
COMMENT ON COLUMN rt_private.outgoing.problem IS 'the same, for people';

-- ---- indexes -----------------------------------------------------------------------------------

COMMENT ON INDEX rt_private.connections_user_id_idx IS 'whether a user is connected';
COMMENT ON INDEX rt_private.connections_gateway_idx IS 'what a gateway had that is gone';
COMMENT ON INDEX rt_private.sessions_sid_idx IS 'the session of a socket';
COMMENT ON INDEX rt_private.sessions_ended_at_idx IS 'sessions that are too old to be given back';
COMMENT ON INDEX rt.meetings_host IS 'a user''s own meetings; deleting a user';
COMMENT ON INDEX rt.meetings_room IS 'a room''s meetings; deleting a room';
COMMENT ON INDEX rt.meetings_started_by IS 'deleting a user';
COMMENT ON INDEX rt.meetings_ended_by IS 'deleting a user';
COMMENT ON INDEX rt.meeting_invitees_user IS 'meetings that a user is invited to; deleting a user';
COMMENT ON INDEX rt.meeting_invitees_invited_by IS 'deleting a user';
COMMENT ON INDEX rt.meeting_bans_user IS 'deleting a user';
COMMENT ON INDEX rt.meeting_bans_banned_by IS 'deleting a user';
COMMENT ON INDEX rt.meeting_participants_live IS 'a socket is once in a meeting';
COMMENT ON INDEX rt.meeting_participants_socket IS 'the places of a socket';
COMMENT ON INDEX rt.meeting_participants_user IS 'a user''s places in a meeting';
COMMENT ON INDEX rt.meeting_participants_of_user IS 'meetings that a user was in; deleting a user';
COMMENT ON INDEX rt.meeting_participants_removed_by IS 'deleting a user';
COMMENT ON INDEX rt.meeting_participants_grace IS 'places that are kept for somebody who was cut off';
COMMENT ON INDEX rt.meeting_participants_gateway IS 'what a gateway had that is gone';
COMMENT ON INDEX rt.meeting_messages_meeting IS 'a meeting''s messages';
COMMENT ON INDEX rt.meeting_messages_sender IS 'deleting a user';
COMMENT ON INDEX rt.meeting_messages_sender_participant IS 'deleting a participant';
COMMENT ON INDEX rt.meeting_messages_recipient IS 'deleting a user';
COMMENT ON INDEX rt.meeting_messages_recipient_participant IS 'deleting a participant';
COMMENT ON INDEX rt.meeting_recordings_meeting IS 'a meeting''s recordings';
COMMENT ON INDEX rt.meeting_recordings_running IS 'one at a time is under way in a meeting';
COMMENT ON INDEX rt.meeting_recordings_started_by IS 'deleting a user';
COMMENT ON INDEX rt.meeting_recordings_stopped_by IS 'deleting a user';
COMMENT ON INDEX rt_private.media_routers_worker IS 'what a media worker had that is gone';
COMMENT ON INDEX rt_private.media_transports_participant IS 'what a participant has';
COMMENT ON INDEX rt_private.media_transports_meeting IS 'what a meeting has';
COMMENT ON INDEX rt_private.media_producers_transport IS 'what a transport carries';
COMMENT ON INDEX rt_private.media_producers_participant IS 'what a participant sends';
COMMENT ON INDEX rt_private.media_producers_meeting IS 'what a meeting has';
COMMENT ON INDEX rt_private.media_consumers_transport IS 'what a transport carries';
COMMENT ON INDEX rt_private.media_consumers_producer IS 'who receives a stream';
COMMENT ON INDEX rt_private.media_consumers_meeting IS 'what a meeting has';
COMMENT ON INDEX rt_private.media_requests_waiting IS 'what a media worker is to fetch';
COMMENT ON INDEX rt_private.media_requests_participant IS 'what a participant has asked for';
COMMENT ON INDEX rt_private.media_requests_handed IS 'commands that a media worker has';

-- ---- policies of rt_app ------------------------------------------------------------------------

COMMENT ON POLICY users_change ON rt.users IS 'one''s own name';
COMMENT ON POLICY users_read ON rt.users IS 'everybody, for whoever acts as a user';
COMMENT ON POLICY rooms_read ON rt.rooms IS 'one''s own rooms';
COMMENT ON POLICY rooms_change ON rt.rooms IS 'by admins of the room';
COMMENT ON POLICY rooms_delete ON rt.rooms IS 'by admins of the room';
COMMENT ON POLICY members_read ON rt.room_members IS 'those of one''s own rooms';
COMMENT ON POLICY members_add ON rt.room_members IS 'by admins of the room';
COMMENT ON POLICY members_change ON rt.room_members IS 'by admins of the room';
COMMENT ON POLICY members_remove ON rt.room_members IS 'oneself, or by admins of the room';
COMMENT ON POLICY messages_change ON rt.messages IS 'one''s own, in one''s own rooms';
COMMENT ON POLICY messages_read ON rt.messages IS 'those of one''s own rooms';
COMMENT ON POLICY messages_send ON rt.messages IS 'as oneself, to one''s own rooms';
COMMENT ON POLICY messages_delete ON rt.messages IS 'one''s own, or by admins of the room';
COMMENT ON POLICY reactions_read ON rt.reactions IS 'those of one''s own rooms';
COMMENT ON POLICY reactions_remove ON rt.reactions IS 'one''s own';
COMMENT ON POLICY reactions_add ON rt.reactions IS 'as oneself, in one''s own rooms';
COMMENT ON POLICY presence_read ON rt.presence IS 'of those who share a room, and one''s own';
COMMENT ON POLICY presence_change ON rt.presence IS 'one''s own';
COMMENT ON POLICY meetings_see ON rt.meetings IS 'those that one may join, or was in';
COMMENT ON POLICY meetings_make ON rt.meetings IS 'as their host';
COMMENT ON POLICY meetings_run ON rt.meetings IS 'by those who run it';
COMMENT ON POLICY meetings_delete ON rt.meetings IS 'by those who run it';
COMMENT ON POLICY meeting_invitees_see ON rt.meeting_invitees IS 'oneself, or by those who run the meeting';
COMMENT ON POLICY meeting_invitees_run ON rt.meeting_invitees IS 'by those who run the meeting';
COMMENT ON POLICY meeting_bans_run ON rt.meeting_bans IS 'by those who run the meeting';
COMMENT ON POLICY meeting_participants_see ON rt.meeting_participants IS 'those of meetings that one sees';
COMMENT ON POLICY meeting_messages_see ON rt.meeting_messages IS 'those that were said to one';
COMMENT ON POLICY meeting_messages_send ON rt.meeting_messages IS 'as oneself, where one is';
COMMENT ON POLICY meeting_recordings_see ON rt.meeting_recordings IS 'those of meetings that one sees';

-- ---- triggers ----------------------------------------------------------------------------------

-- What a trigger does is what its function does.
DO $$
DECLARE
	t record;
BEGIN
	FOR t IN
		SELECT g.tgname, g.tgrelid, pg_catalog.obj_description(g.tgfoid, 'pg_proc') AS does
		FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) g.tgrelid
			JOIN pg_catalog.pg_proc AS p ON p.oid OPERATOR(pg_catalog.=) g.tgfoid
			JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
		WHERE n.nspname OPERATOR(pg_catalog.=) ANY ('{rt,rt_private}'::pg_catalog.name[]) AND NOT g.tgisinternal
			AND p.pronamespace OPERATOR(pg_catalog.=) 'rt_private'::pg_catalog.regnamespace
			AND pg_catalog.obj_description(g.oid, 'pg_trigger') IS NULL
	LOOP
		EXECUTE pg_catalog.format('COMMENT ON TRIGGER %I ON %s IS %L', t.tgname, t.tgrelid::pg_catalog.regclass, t.does);
	END LOOP;
END
$$;
