-- Meetings: who may do what, cell by cell; and what malformed requests get.
\set VERBOSITY sqlstate
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;

SELECT count(rt.create_user('p-' || u, initcap(u), NULL))
FROM unnest(ARRAY['host', 'cohost', 'member', 'viewer', 'other', 'stranger']) AS u;
SELECT rt.create_meeting('Permissions', 'p-host', access => 'anyone') AS m \gset
SELECT count(rt_api.meeting_join('p-' || u, jsonb_build_object('meetingId', :'m', 'sid', 'p-s-' || u, 'gateway', 'test-gateway')))
FROM unnest(ARRAY['host', 'cohost', 'member', 'viewer', 'other']) AS u;
UPDATE rt.meeting_participants SET role = 'co-host' WHERE meeting_id = :m AND user_id = 'p-cohost';
UPDATE rt.meeting_participants SET role = 'viewer' WHERE meeting_id = :m AND user_id = 'p-viewer';
SELECT id AS other FROM rt.meeting_participants WHERE meeting_id = :m AND user_id = 'p-other' \gset
SELECT id AS host FROM rt.meeting_participants WHERE meeting_id = :m AND user_id = 'p-host' \gset

-- A request, tried and undone: ok, or the SQLSTATE.
CREATE FUNCTION pg_temp.try(fn text, who text, meeting text, more jsonb DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SELECT rt_api.%I($1, $2)', fn)
	USING 'p-' || who, jsonb_build_object('meetingId', meeting, 'sid', 'p-s-' || who, 'gateway', 'test-gateway') || more;
	RAISE EXCEPTION 'undo' USING ERRCODE = 'P0099';
EXCEPTION
	WHEN SQLSTATE 'P0099' THEN RETURN 'ok';
	WHEN OTHERS THEN RETURN SQLSTATE;
END
$$;

SELECT action,
	pg_temp.try(fn, 'host', :'m', more) AS host,
	pg_temp.try(fn, 'cohost', :'m', more) AS cohost,
	pg_temp.try(fn, 'member', :'m', more) AS participant,
	pg_temp.try(fn, 'viewer', :'m', more) AS viewer,
	pg_temp.try(fn, 'stranger', :'m', more) AS stranger
FROM (VALUES
	(1, 'leave', 'meeting_leave', '{}'::jsonb),
	(2, 'media status', 'meeting_media', '{"video":true,"audio":false,"screenSharing":false}'),
	(3, 'message', 'meeting_say', '{"message":"hello"}'),
	(4, 'private message', 'meeting_say', jsonb_build_object('message', 'hello', 'recipientType', 'private', 'recipientId', :'other')),
	(5, 'message to hosts', 'meeting_say', '{"message":"hello","recipientType":"host"}'),
	(6, 'typing', 'meeting_typing', '{"typing":true}'),
	(7, 'reaction', 'meeting_react', '{"reaction":"+1"}'),
	(8, 'hand', 'meeting_hand', '{"raised":true}'),
	(9, 'mute', 'meeting_mute', jsonb_build_object('participantId', :'other', 'mute', true)),
	(10, 'mute video', 'meeting_mute', jsonb_build_object('participantId', :'other', 'mute', true, 'kind', 'video')),
	(11, 'remove', 'meeting_remove', jsonb_build_object('participantId', :'other')),
	(12, 'remove a host', 'meeting_remove', jsonb_build_object('participantId', :'host')),
	(13, 'role', 'meeting_role', jsonb_build_object('participantId', :'other', 'role', 'viewer')),
	(14, 'role host', 'meeting_role', jsonb_build_object('participantId', :'other', 'role', 'host')),
	(15, 'role of the only host', 'meeting_role', jsonb_build_object('participantId', :'host', 'role', 'viewer')),
	(16, 'lock', 'meeting_lock', '{"locked":true}'),
	(17, 'record', 'meeting_record', '{"start":true}'),
	(18, 'end', 'meeting_close', '{}')) AS a (n, action, fn, more)
ORDER BY n;

-- By REST, without a socket: hosts of the meeting, and users who see it.
SELECT action,
	pg_temp.try(fn, 'host', :'m', more) AS host,
	pg_temp.try(fn, 'cohost', :'m', more) AS cohost,
	pg_temp.try(fn, 'member', :'m', more) AS participant,
	pg_temp.try(fn, 'stranger', :'m', more) AS stranger
FROM (VALUES
	(1, 'get', 'meeting_get', '{}'::jsonb),
	(2, 'participants', 'meeting_participants', '{}'),
	(3, 'messages', 'meeting_messages', '{}'),
	(4, 'webrtc-config', 'meeting_webrtc_config', '{}'),
	(5, 'recordings', 'meeting_recordings', '{}'),
	(6, 'check join', 'meeting_check_join', '{}'),
	(7, 'start', 'meeting_start', '{}'),
	(8, 'update', 'meeting_update', '{"title":"New"}'),
	(9, 'end', 'meeting_end', '{}'),
	(10, 'delete', 'meeting_delete', '{}')) AS a (n, action, fn, more)
ORDER BY n;
UPDATE rt.meetings SET access = 'invited' WHERE id = :m;
SELECT fn, pg_temp.try(fn, 'stranger', :'m') AS stranger, pg_temp.try(fn, 'member', :'m') AS participant
FROM unnest(ARRAY['meeting_get', 'meeting_participants', 'meeting_messages', 'meeting_webrtc_config', 'meeting_recordings',
	'meeting_check_join']) AS fn;

-- A private message is read by the two alone; one to the hosts, by them and its sender.
SELECT count(rt_api.meeting_say('p-member', jsonb_build_object('meetingId', :'m', 'sid', 'p-s-member') || r))
FROM unnest(ARRAY['{"message":"to all"}', '{"message":"to other","recipientType":"private","recipientId":"p-other"}',
	'{"message":"to hosts","recipientType":"host"}']::jsonb[]) AS r;
SELECT u AS reader, (
	SELECT string_agg(x ->> 'message', ', ')
	FROM json_array_elements(rt_api.meeting_messages('p-' || u, jsonb_build_object('meetingId', :'m')) -> 'data') AS x) AS reads
FROM unnest(ARRAY['host', 'cohost', 'member', 'viewer', 'other']) AS u;
SELECT x ->> 'message' AS message, rt_api.meeting_messages('p-host', jsonb_build_object('meetingId', :'m', 'limit', '1')) ->> 'hasMore' AS more
FROM json_array_elements(rt_api.meeting_messages('p-host', jsonb_build_object('meetingId', :'m', 'limit', '1')) -> 'data') AS x;

-- Malformed requests.
SELECT fn, more, pg_temp.try(fn, 'host', :'m', more) AS code
FROM (VALUES
	(1, 'meeting_media', '{"video":true}'::jsonb),
	(2, 'meeting_media', '{"video":"yes","audio":true,"screenSharing":true}'),
	(3, 'meeting_say', '{}'),
	(4, 'meeting_say', '{"message":7}'),
	(5, 'meeting_say', '{"message":""}'),
	(6, 'meeting_say', '{"message":"x","recipientType":"some"}'),
	(7, 'meeting_say', '{"message":"x","recipientType":"private"}'),
	(8, 'meeting_say', '{"message":"x","recipientType":"private","recipientId":"nobody"}'),
	(9, 'meeting_typing', '{"typing":1}'),
	(10, 'meeting_react', '{"reaction":""}'),
	(11, 'meeting_hand', '{}'),
	(12, 'meeting_mute', '{"participantId":"999999999","mute":true}'),
	(13, 'meeting_mute', '{"participantId":"abc","mute":true}'),
	(14, 'meeting_mute', '{"participantId":"99999999999999999999999","mute":true}'),
	(15, 'meeting_role', '{"participantId":"1","role":"king"}'),
	(16, 'meeting_lock', '{"locked":null}'),
	(17, 'meeting_say', '{"meetingId":"-1","message":"x"}'),
	(18, 'meeting_say', '{"meetingId":"999999999","message":"x"}'),
	(19, 'meeting_say', '{"meetingId":[],"message":"x"}'),
	(20, 'meeting_create', '{}'),
	(21, 'meeting_create', '{"title":"   "}'),
	(22, 'meeting_create', '{"title":"x","maxParticipants":"5"}'),
	(23, 'meeting_create', '{"title":"x","maxParticipants":0}'),
	(24, 'meeting_create', '{"title":"x","startsAt":"tomorrow"}'),
	(25, 'meeting_create', '{"title":"x","startsAt":"2026-02-30T10:00:00Z"}'),
	(26, 'meeting_create', '{"title":"x","access":"all"}'),
	(27, 'meeting_create', '{"title":"x","access":"room"}'),
	(28, 'meeting_create', '{"title":"x","inviteeIds":"bob"}'),
	(29, 'meeting_create', '{"title":"x","inviteeIds":["nobody"]}'),
	(30, 'meeting_create', '{"title":"x","roomId":"999999999"}'),
	(31, 'meeting_create', '{"title":"x","password":""}'),
	(32, 'meetings_list', '{"limit":"0"}')) AS r (n, fn, more)
ORDER BY n;

-- REST, as it should be.
SELECT c ->> 'status' AS status, (c -> 'data')::jsonb - ARRAY['id', 'createdAt'] AS data
FROM rt_api.meeting_create('p-host', '{"title":" Planning ","password":"sesame","maxParticipants":5,
	"startsAt":"2030-01-02T03:04:05.678Z","inviteeIds":["p-other"]}') AS c;
SELECT max(id) AS m2 FROM rt.meetings \gset
SELECT count FROM json_to_record(rt_api.meetings_list('p-other', '{"status":"scheduled"}')) AS l (count integer);
SELECT (u -> 'data')::jsonb - ARRAY['id', 'createdAt'] AS data
FROM rt_api.meeting_update('p-host', jsonb_build_object('meetingId', :'m2', 'password', NULL, 'locked', true, 'title', 'Plan',
	'startsAt', NULL)) AS u;
SELECT rt_api.meeting_start('p-host', jsonb_build_object('meetingId', :'m2')) #>> '{data,status}' AS started;
SELECT rt_api.meeting_start('p-host', jsonb_build_object('meetingId', :'m2')) #>> '{data,status}' AS again;
SELECT rt_api.meeting_end('p-host', jsonb_build_object('meetingId', :'m2')) #>> '{data,status}' AS ended;
SELECT rt_api.meeting_end('p-host', jsonb_build_object('meetingId', :'m2'));
SELECT rt_api.meeting_update('p-host', jsonb_build_object('meetingId', :'m2', 'title', 'Late'));
SELECT rt_api.meeting_delete('p-host', jsonb_build_object('meetingId', :'m2')) #>> '{data,deleted}' AS deleted;
SELECT rt_api.meeting_get('p-host', jsonb_build_object('meetingId', :'m2'));

-- ---- an application role ------------------------------------------------------------------------------------
GRANT rt_app TO CURRENT_USER;
INSERT INTO rt.meeting_invitees (meeting_id, user_id) VALUES (:m, 'p-other') ON CONFLICT DO NOTHING;
SET rt.user_id = 'p-stranger';
SET ROLE rt_app;
SELECT count(*) FROM rt.meetings WHERE id = :m;
SELECT count(*) FROM rt.meeting_participants WHERE meeting_id = :m;
SELECT count(*) FROM rt.meeting_messages WHERE meeting_id = :m;
INSERT INTO rt.meeting_messages (meeting_id, sender_id, message) VALUES (:m, 'p-stranger', 'x');
INSERT INTO rt.meeting_invitees (meeting_id, user_id) VALUES (:m, 'p-stranger');
UPDATE rt.meetings SET title = 'Mine' WHERE id = :m;
DELETE FROM rt.meetings WHERE id = :m;
SELECT rt.end_meeting(:m);
SELECT rt.kick_participant(:other);
INSERT INTO rt.meetings (title, host_id) VALUES ('In another''s name', 'p-host');
SELECT rt.create_meeting('In another''s name', 'p-host');
SELECT password_hash FROM rt.meetings;
SELECT socket_id FROM rt.meeting_participants;
RESET ROLE;
SET rt.user_id = 'p-member';
SET ROLE rt_app;
SELECT title FROM rt.meetings WHERE id = :m;
SELECT count(*) FROM rt.meeting_participants WHERE meeting_id = :m;
SELECT string_agg(message, ', ' ORDER BY id) FROM rt.meeting_messages WHERE meeting_id = :m;
INSERT INTO rt.meeting_messages (meeting_id, sender_id, message) VALUES (:m, 'p-member', 'by SQL');
INSERT INTO rt.meeting_messages (meeting_id, sender_id, message) VALUES (:m, 'p-host', 'forged');
SELECT rt.mute_participant(:other);
UPDATE rt.meeting_participants SET role = 'host' WHERE meeting_id = :m;
RESET ROLE;
SET rt.user_id = 'p-viewer';
SET ROLE rt_app;
SELECT string_agg(message, ', ' ORDER BY id) FROM rt.meeting_messages WHERE meeting_id = :m;
RESET ROLE;
SET rt.user_id = 'p-host';
SET ROLE rt_app;
SELECT string_agg(message, ', ' ORDER BY id) FROM rt.meeting_messages WHERE meeting_id = :m;
UPDATE rt.meetings SET title = 'By the host' WHERE id = :m RETURNING title;
SELECT rt.mute_participant(:other);
SELECT rt.kick_participant(:other, 'bye');
SELECT user_id FROM rt.meeting_bans WHERE meeting_id = :m;
INSERT INTO rt.meeting_invitees (meeting_id, user_id) VALUES (:m, 'p-other');
SELECT user_id FROM rt.meeting_bans WHERE meeting_id = :m;
SELECT rt.create_meeting('Own') AS own \gset
SELECT title, host_id FROM rt.meetings WHERE id = :own;
SELECT rt.end_meeting(:m);
SELECT status, ended_by FROM rt.meetings WHERE id = :m;
RESET ROLE;
RESET rt.user_id;
-- A role without grants reads nothing.
CREATE ROLE rt_test_nobody;
SET ROLE rt_test_nobody;
SELECT count(*) FROM rt.meetings;
SELECT rt.create_meeting('x', 'p-host');
SELECT rt_api.meeting_get('p-host', '{"meetingId":"1"}');
RESET ROLE;
DROP ROLE rt_test_nobody;
