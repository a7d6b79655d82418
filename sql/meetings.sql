-- Meetings: making, joining, the life of a place, what plain statements tell the clients.
\set VERBOSITY sqlstate
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;

\i sql/lib/heard.sql
SELECT rt.create_user('m-' || u, initcap(u), NULL) AS made FROM unnest(ARRAY['ann', 'ben', 'cat', 'dan', 'eve']) AS u;
SELECT rt.create_room('Meeting room', ARRAY['m-ann', 'm-ben', 'm-eve']) AS room \gset

-- a time in a request, names, passwords and codes, whatever the session makes of backslashes
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SELECT rt_private.req_timestamp('{"t": "2026-11-22T10:30:00.5+05:45"}', 't') = '2026-11-22 04:45:00.5Z' AS right;
SELECT rt_private.username_form(E'\uFF41nn') AS name, rt_private.password_form(E'a\u3000b') AS password, rt_private.password_cost('$2b$10$x') AS cost,
	rt_private.server_of('host=h  dbname = d password=''p q''') AS server;
SELECT rt.set_password('m-ann', 'a secret of hers');
RESET standard_conforming_strings;
RESET escape_string_warning;
SELECT rt_private.req_timestamp('{"t": "2026-11-22 10:30"}', 't');

-- ---- making one -----------------------------------------------------------------------------------------
SELECT rt.create_meeting('Standup', 'm-ann', invitees => ARRAY['m-ben', 'm-cat'], max_participants => 3) AS m \gset
SELECT status, host_id, access, max_participants, locked, password_hash FROM rt.meetings WHERE id = :m;
SELECT user_id, role FROM rt.meeting_invitees WHERE meeting_id = :m ORDER BY user_id;
SELECT rt.create_meeting('', 'm-ann');
SELECT rt.create_meeting('No host');
SELECT rt.create_meeting('No room', 'm-ann', access => 'room');
SELECT rt.create_meeting('Not a member', 'm-dan', room => :room);
SELECT rt.create_meeting('Nobody', 'm-ann', invitees => ARRAY['m-nobody']);
SELECT rt.create_meeting('Too large', 'm-ann', max_participants => 10001);
SELECT rt.create_meeting('Of a room', 'm-ann', room => :room) AS mr \gset
SELECT access FROM rt.meetings WHERE id = :mr;

-- ---- joining: the checks in their order ------------------------------------------------------------------
CREATE FUNCTION pg_temp.join(meeting bigint, who text, sid text, more jsonb DEFAULT '{}') RETURNS json LANGUAGE sql AS $$
	SELECT rt_api.meeting_join(who, jsonb_build_object('meetingId', meeting::text, 'sid', sid, 'gateway', 'test-gateway') || more)
$$;
CREATE FUNCTION pg_temp.people(r json) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg((p ->> 'userName') || ':' || (p ->> 'role'), ' ' ORDER BY (p ->> 'participantId')::bigint)
	FROM json_array_elements(r -> 'participants') AS p
$$;
EXECUTE mark \g /dev/null
SELECT count(*) FROM pg_temp.heard();
SELECT pg_temp.join(999999999, 'm-ann', 'm-a1');
SELECT rt_api.meeting_join('m-ann', '{"sid":"m-a1","gateway":"test-gateway"}');
SELECT rt_api.meeting_join('m-ann', '{"meetingId":"x","sid":"m-a1","gateway":"test-gateway"}');
SELECT rt_api.meeting_join('m-ann', '{"meetingId":{},"sid":"m-a1","gateway":"test-gateway"}');
SELECT pg_temp.join(:m, 'm-dan', 'm-d1');
UPDATE rt.meetings SET locked = true WHERE id = :m;
SELECT rt.set_meeting_password(:m, 'sesame');
SELECT pg_temp.join(:m, 'm-dan', 'm-d1', '{"password":"sesame"}');
SELECT pg_temp.join(:m, 'm-ben', 'm-b1', '{"password":"wrong"}');
UPDATE rt.meetings SET locked = false WHERE id = :m;
SELECT pg_temp.join(:m, 'm-ben', 'm-b1');
SELECT pg_temp.join(:m, 'm-ben', 'm-b1', '{"password":"wrong"}');
SELECT pg_temp.join(:m, 'm-ben', 'm-b1', '{"password":7}');
SELECT pg_temp.people(pg_temp.join(:m, 'm-ann', 'm-a1'));
SELECT pg_temp.people(pg_temp.join(:m, 'm-ben', 'm-b1', '{"password":"sesame","displayName":"Benny"}'));
SELECT pg_temp.people(pg_temp.join(:m, 'm-ben', 'm-b2', '{"meeting_password":"sesame"}'));
SELECT pg_temp.join(:m, 'm-cat', 'm-c1', '{"password":"sesame"}');
SELECT pg_temp.join(:m, 'm-cat', 'm-c1', '{"password":"wrong"}');
EXECUTE mark \g /dev/null
SELECT * FROM pg_temp.heard();
-- The same socket again is the same participant, and tells nobody.
SELECT pg_temp.people(pg_temp.join(:m, 'm-ben', 'm-b2', '{"password":"sesame"}'));
EXECUTE mark \g /dev/null
SELECT * FROM pg_temp.heard();
SELECT j ->> 'participantId' = (SELECT max(id)::text FROM rt.meeting_participants) AS own_id,
	j -> 'meeting' ->> 'hasPassword' AS has_password, j::text ~ 'password_?[hH]ash' AS leaks,
	json_typeof(j -> 'webrtcConfig' -> 'routerId') AS router, j -> 'webrtcConfig' -> 'iceServers' AS ice,
	json_array_length(j #> '{webrtcConfig,rtpCapabilities,codecs}') AS codecs
FROM pg_temp.join(:m, 'm-ben', 'm-b2') AS j;

-- REST asks the same and joins nothing.
SELECT rt_api.meeting_check_join('m-cat', jsonb_build_object('meetingId', :'m', 'password', 'sesame'));
UPDATE rt.meetings SET max_participants = 10 WHERE id = :m;
SELECT rt_api.meeting_check_join('m-dan', jsonb_build_object('meetingId', :'m', 'password', 'sesame'));
SELECT rt_api.meeting_check_join('m-cat', jsonb_build_object('meetingId', :'m', 'password', 'no'));
SELECT rt_api.meeting_check_join('m-cat', jsonb_build_object('meetingId', :'m', 'password', 'sesame')) #>> '{data,canJoin}' AS can;
SELECT count(*) FROM rt.meeting_participants WHERE meeting_id = :m AND left_at IS NULL;

-- Access of a room's members, of anyone.
SELECT pg_temp.people(pg_temp.join(:mr, 'm-eve', 'm-e1'));
SELECT pg_temp.join(:mr, 'm-dan', 'm-d1');
DELETE FROM rt.room_members WHERE room_id = :room AND user_id = 'm-eve';
SELECT pg_temp.join(:mr, 'm-eve', 'm-e2');
SELECT rt.create_meeting('Open', 'm-ann', access => 'anyone') AS mo \gset
SELECT pg_temp.people(pg_temp.join(:mo, 'm-dan', 'm-d1'));
SELECT status, started_by, started_at IS NOT NULL AS started FROM rt.meetings WHERE id = :mo;
EXECUTE mark \g /dev/null
SELECT count(*) > 0 AS heard FROM pg_temp.heard();

-- ---- a socket drops ------------------------------------------------------------------------------------------
SELECT json_array_length(rt_api.meeting_disconnected('m-ben', '{"sid":"m-b1","gateway":"other"}') -> 'meetings');
SELECT json_array_length(rt_api.meeting_disconnected('m-ben', '{"sid":"m-b1","gateway":"test-gateway"}') -> 'meetings');
SELECT id AS ben FROM rt.meeting_participants WHERE meeting_id = :m AND socket_id = 'm-b1' \gset
UPDATE rt.meetings SET locked = true, max_participants = 3 WHERE id = :m;
-- Locked, full, no password: who is in the grace comes back, as the same participant.
SELECT (pg_temp.join(:m, 'm-ben', 'm-b3') ->> 'participantId')::bigint = :ben AS same;
SELECT display_name, socket_id, disconnected_at FROM rt.meeting_participants WHERE id = :ben;
EXECUTE mark \g /dev/null
SELECT event, receivers, payload - 'userId' AS payload FROM pg_temp.heard();
-- A recovered socket keeps its id.
SELECT json_array_length(rt_api.meeting_disconnected('m-ben', '{"sid":"m-b3","gateway":"test-gateway"}') -> 'meetings');
SELECT rt_api.meeting_resume('m-cat', '{"sid":"m-b3","gateway":"g2"}');
SELECT json_array_length(rt_api.meeting_resume('m-ben', '{"sid":"m-b3","gateway":"test-gateway"}') -> 'meetings');
-- The grace is over: participant-left, once.
SELECT json_array_length(rt_api.meeting_disconnected('m-ben', '{"sid":"m-b3","gateway":"test-gateway"}') -> 'meetings');
EXECUTE mark \g /dev/null
SELECT count(*) FROM pg_temp.heard('participant%');
UPDATE rt.meeting_participants SET disconnected_at = disconnected_at - interval '1 hour' WHERE id = :ben;
SELECT rt_api.meeting_sweep(NULL, '{}') ->> 'left' AS left_now;
SELECT rt_api.meeting_sweep(NULL, '{}') ->> 'left' AS left_again;
SELECT left_reason FROM rt.meeting_participants WHERE id = :ben;
EXECUTE mark \g /dev/null
SELECT * FROM pg_temp.heard('participant%');
SELECT pg_temp.join(:m, 'm-ben', 'm-b3', '{"password":"sesame"}');
UPDATE rt.meetings SET locked = false WHERE id = :m;

-- Leaving.
SELECT rt_api.meeting_leave('m-ben', jsonb_build_object('meetingId', :'m', 'sid', 'm-b9'));
SELECT rt_api.meeting_leave('m-ann', jsonb_build_object('meetingId', :'m', 'sid', 'm-b2'));
SELECT rt_api.meeting_leave('m-ben', jsonb_build_object('meetingId', :'m', 'sid', 'm-b2')) ->> 'meetingId' = :'m' AS has_left;
SELECT rt_api.meeting_leave('m-ben', jsonb_build_object('meetingId', :'m', 'sid', 'm-b2'));

-- ---- plain statements are heard as well --------------------------------------------------------------------
SELECT count(*) FROM pg_temp.join(:m, 'm-cat', 'm-c1', '{"password":"sesame"}');
SELECT id AS cat FROM rt.meeting_participants WHERE meeting_id = :m AND socket_id = 'm-c1' \gset
EXECUTE mark \g /dev/null
SELECT count(*) > 0 AS heard FROM pg_temp.heard();
UPDATE rt.meeting_participants SET audio = true, video = true WHERE id = :cat;
UPDATE rt.meeting_participants SET audio_muted = true WHERE id = :cat;
SELECT rt.mute_participant(:cat, false);
UPDATE rt.meeting_participants SET role = 'viewer' WHERE id = :cat;
UPDATE rt.meeting_participants SET hand_raised_at = now() WHERE id = :cat;
UPDATE rt.meeting_participants SET hand_raised_at = now() + interval '1 second' WHERE id = :cat;
UPDATE rt.meetings SET title = 'Retro', locked = true WHERE id = :m;
UPDATE rt.meetings SET title = 'Retro' WHERE id = :m;
INSERT INTO rt.meeting_messages (meeting_id, sender_id, message) VALUES (:m, 'm-ann', 'from psql');
INSERT INTO rt.meeting_messages (meeting_id, sender_id, message, recipient_type, recipient_id)
	VALUES (:m, 'm-cat', 'psst', 'private', 'm-ann');
INSERT INTO rt.meeting_messages (meeting_id, sender_id, message, recipient_type) VALUES (:m, 'm-cat', 'help', 'host');
INSERT INTO rt.meeting_recordings (meeting_id, started_by) VALUES (:m, 'm-ann');
UPDATE rt.meeting_recordings SET stopped_at = clock_timestamp() WHERE meeting_id = :m;
EXECUTE mark \g /dev/null
SELECT * FROM pg_temp.heard();
BEGIN;
UPDATE rt.meetings SET title = 'Never' WHERE id = :m;
ROLLBACK;
INSERT INTO rt.meeting_messages (meeting_id, sender_id, message) VALUES (:m, 'm-ann', '');
INSERT INTO rt.meeting_messages (meeting_id, sender_id, message) VALUES (:m, 'm-ann', repeat('x', 100000));
EXECUTE mark \g /dev/null
SELECT * FROM pg_temp.heard();

-- Removed, and back by a new invitation.
SELECT rt.kick_participant(:cat, 'noise');
SELECT user_id, reason FROM rt.meeting_bans WHERE meeting_id = :m;
SELECT count(*) FROM rt.meeting_invitees WHERE meeting_id = :m AND user_id = 'm-cat';
UPDATE rt.meetings SET locked = false WHERE id = :m;
SELECT pg_temp.join(:m, 'm-cat', 'm-c2', '{"password":"sesame"}');
SELECT rt_api.meeting_get('m-cat', jsonb_build_object('meetingId', :'m'));
SELECT rt.kick_participant(:cat);
INSERT INTO rt.meeting_invitees (meeting_id, user_id) VALUES (:m, 'm-cat');
-- The role that somebody was given stays theirs.
SELECT pg_temp.people(pg_temp.join(:m, 'm-cat', 'm-c2', '{"password":"sesame"}'));
EXECUTE mark \g /dev/null
SELECT * FROM pg_temp.heard();
DELETE FROM rt.meeting_participants WHERE meeting_id = :m AND socket_id = 'm-c2';
EXECUTE mark \g /dev/null
SELECT * FROM pg_temp.heard();

-- ---- the end -----------------------------------------------------------------------------------------------
SELECT rt.end_meeting(:m);
EXECUTE mark \g /dev/null
SELECT * FROM pg_temp.heard();
SELECT status, ended_at IS NOT NULL AS ended FROM rt.meetings WHERE id = :m;
SELECT count(*) FROM rt.meeting_participants WHERE meeting_id = :m AND left_at IS NULL;
SELECT rt.end_meeting(:m);
SELECT rt.start_meeting(:m);
UPDATE rt.meetings SET status = 'live' WHERE id = :m;
SELECT pg_temp.join(:m, 'm-ann', 'm-a1');
SELECT rt_api.meeting_leave('m-ann', jsonb_build_object('meetingId', :'m', 'sid', 'm-a1'));
SELECT rt_api.meeting_say('m-ann', jsonb_build_object('meetingId', :'m', 'sid', 'm-a1', 'message', 'late'));
-- A meeting that is deleted ends first.
DELETE FROM rt.meetings WHERE id = :mo;
EXECUTE mark \g /dev/null
SELECT * FROM pg_temp.heard();
SELECT pg_temp.join(:mo, 'm-dan', 'm-d1');
-- So does the participation of a user who is deleted.
DELETE FROM rt.users WHERE id = 'm-eve';
EXECUTE mark \g /dev/null
SELECT * FROM pg_temp.heard('participant%');
UPDATE rt.meetings SET status = 'scheduled' WHERE id = :mr;

-- Every object has a comment.
SELECT c.relname FROM pg_class AS c
WHERE c.relnamespace IN ('rt'::regnamespace, 'rt_private'::regnamespace) AND c.relkind IN ('r', 'v')
	AND c.relname ~ '^(meeting|media_|ice_|stat_me)' AND obj_description(c.oid, 'pg_class') IS NULL;
SELECT p.proname FROM pg_proc AS p
WHERE p.pronamespace IN ('rt'::regnamespace, 'rt_api'::regnamespace, 'rt_private'::regnamespace)
	AND p.proname ~ '(meeting|media|participant|producer)' AND obj_description(p.oid, 'pg_proc') IS NULL;
