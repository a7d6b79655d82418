-- Guests of meetings, and brakes on meetings' passwords: what the functions of the API and plain SQL keep to.
\set VERBOSITY sqlstate
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;
SELECT rt.create_user('g-' || u, initcap(u), NULL) AS made FROM unnest(ARRAY['ann', 'ben']) AS u;

-- ---- which meetings are open to guests ----------------------------------------------------
SELECT rt.create_meeting('Open', 'g-ann', access => 'anyone', guests => true, max_participants => 2) AS m \gset
SELECT rt.create_meeting('Other', 'g-ann', access => 'anyone') AS other \gset
SELECT guests FROM rt.meetings WHERE id IN (:m, :other) ORDER BY id;
SELECT rt.create_meeting('Not for anyone', 'g-ann', guests => true);
UPDATE rt.meetings SET access = 'invited' WHERE id = :m;
INSERT INTO rt.meetings (title, host_id, guests) VALUES ('Not for anyone', 'g-ann', true);

CREATE FUNCTION pg_temp.knock(meeting bigint, name text, more jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$
	SELECT rt_api.guest_create(NULL, jsonb_build_object('meetingId', meeting::text, 'name', name, 'address', '192.0.2.1') || more)::jsonb
$$;
SELECT pg_temp.knock(:other, 'Gus');
SELECT pg_temp.knock(:m, '');
SELECT pg_temp.knock(:m, 'Gus') AS g \gset
SELECT g - 'token' - 'expiresAt' #- '{user,id}' AS answer, (g ->> 'expiresAt')::timestamptz - now() > interval '23 hours' AS long
FROM (SELECT :'g'::jsonb AS g) AS t;
SELECT :'g'::jsonb #>> '{user,id}' AS guest \gset
SELECT rt.verify_token(:'g'::jsonb ->> 'token') = :'guest' AS own_token;
SELECT pg_temp.knock(:m, 'Two') ->> 'status' AS two;
SELECT pg_temp.knock(:m, 'Three');

-- ---- one meeting, and nothing else --------------------------------------------------------
SELECT rt_api.meeting_join(:'guest', jsonb_build_object('meetingId', :'m', 'sid', 'g-s1', 'gateway', 'g')) -> 'participants' -> 0 ->> 'guest' AS guest;
SELECT guest, display_name FROM rt.meeting_participants WHERE user_id = :'guest';
SELECT rt_api.meeting_join(:'guest', jsonb_build_object('meetingId', :'other', 'sid', 'g-s1', 'gateway', 'g'));
SELECT rt_api.meeting_get(:'guest', jsonb_build_object('meetingId', :'other'));
SELECT rt_api.meetings_list(:'guest', '{}');
SELECT rt_api.users_search(:'guest', '{}');
SELECT rt_api.me(:'guest', '{}');
SELECT rt_private.act_as(:'guest');
INSERT INTO rt.meeting_invitees (meeting_id, user_id) VALUES (:other, :'guest');
SELECT rt.create_meeting('Mine', :'guest');
SELECT rt.create_room('Room', ARRAY['g-ann', :'guest']);
SELECT count(*) FROM json_array_elements(rt_api.users_search('g-ann', '{"q": "gus"}') -> 'data') AS u;
-- An id that begins like a guest's is nobody special.
SELECT rt.create_user('guest-house', 'Guest House');
SELECT rt_api.me('guest-house', '{}') ->> 'status' AS status;
SELECT rt.create_room('Room', ARRAY['g-ann', 'guest-house']) > 0 AS made;

-- ---- until when ---------------------------------------------------------------------------
UPDATE rt.meetings SET guests = false WHERE id = :m;
SELECT rt_api.meeting_join(:'guest', jsonb_build_object('meetingId', :'m', 'sid', 'g-s1', 'gateway', 'g')) #>> '{meeting,guests}' AS who_is_in_stays;
SELECT rt_api.meeting_check_join(:'guest', jsonb_build_object('meetingId', :'m'));
SELECT rt.end_meeting(:m);
SELECT count(*) AS sessions, count(revoked_at) AS revoked FROM rt.sessions WHERE user_id = :'guest';
UPDATE rt_private.guests SET until = until - interval '2 hours' WHERE user_id = :'guest';
SELECT rt_private.sweep_guests();
SELECT count(*) FROM rt.users WHERE id = :'guest';
SELECT rt.create_meeting('Gone', 'g-ann', access => 'anyone', guests => true) AS gone \gset
SELECT pg_temp.knock(:gone, 'Gus') #>> '{user,id}' AS guest \gset
DELETE FROM rt.meetings WHERE id = :gone;
SELECT count(*) AS sessions, count(revoked_at) AS revoked FROM rt.sessions WHERE user_id = :'guest';

-- ---- passwords ----------------------------------------------------------------------------
SELECT rt.create_meeting('Secret', 'g-ann', 'sesame', access => 'anyone', guests => true) AS s \gset
CREATE FUNCTION pg_temp.try(who text, password text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(r #>> '{error,code}', 'in') FROM rt_api.meeting_check_join(who,
		jsonb_build_object('meetingId', (SELECT max(id)::text FROM rt.meetings), 'password', password)) AS r
$$;
-- To ask without a password guesses nothing.
SELECT DISTINCT pg_temp.try('g-ben', NULL) FROM generate_series(1, 12);
SELECT pg_temp.try('g-ben', 'guess ' || n) AS code FROM generate_series(1, 11) AS n;
SELECT pg_temp.try('g-ben', 'sesame');
SELECT pg_temp.try('g-ann', NULL) AS host;
SELECT count(*), min(detail ->> 'meetingId') = :'s' AS here FROM rt.audit WHERE action = 'meeting-password-failed' AND user_id = 'g-ben';
UPDATE rt_private.failures SET at = at - interval '16 minutes';
SELECT pg_temp.try('g-ben', 'sesame');
-- Of an IPv6 network all addresses count together.
SELECT pg_temp.knock(:s, 'Gus', jsonb_build_object('password', 'no', 'address', '2001:db8::' || n)) #>> '{error,code}' AS code
FROM generate_series(1, 11) AS n;
SELECT pg_temp.knock(:s, 'Gus', '{"password": "sesame", "address": "2001:db8::ffff"}') #>> '{error,code}' AS same_network;
SELECT pg_temp.knock(:s, 'Gus', '{"password": "sesame", "address": "2001:db8:0:1::1"}') ->> 'status' AS another;

DELETE FROM rt.users WHERE id LIKE 'g-%' OR id LIKE 'guest-%';
