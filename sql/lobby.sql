-- The lobby of a meeting, by SQL: who waits, who decides, who may see it.
\set VERBOSITY sqlstate
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;
\i sql/lib/heard.sql
SELECT rt.create_user('l-' || u, initcap(u), NULL) AS made FROM unnest(ARRAY['ann', 'ben', 'cat', 'dan']) AS u;
SELECT rt.create_meeting('Lobby', 'l-ann', access => 'anyone', lobby => true, max_participants => 2) AS m \gset
CREATE FUNCTION pg_temp.join(who text) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(r #>> '{error,code}', 'in') FROM rt_api.meeting_join(who, jsonb_build_object('meetingId',
		(SELECT max(id)::text FROM rt.meetings), 'sid', who, 'gateway', 'l')) AS r
$$;
EXECUTE mark \g /dev/null
SELECT count(*) FROM pg_temp.heard();
SELECT pg_temp.join('l-ben') AS ben;
SELECT pg_temp.join('l-ann') AS host;
SELECT pg_temp.join('l-cat') AS cat;
SELECT pg_temp.join('l-cat') AS again;
SELECT pg_temp.join('l-dan') AS lobby_is_full;
SELECT user_id, display_name, status FROM rt.meeting_waiting ORDER BY id;
SELECT rt.admit_waiting(:m, (SELECT id FROM rt.meeting_waiting WHERE user_id = 'l-ben'));
SELECT rt.admit_waiting(:m, (SELECT id FROM rt.meeting_waiting WHERE user_id = 'l-ben'));
SELECT rt.refuse_waiting(:m);
SELECT rt.refuse_waiting(:m);
SELECT pg_temp.join('l-cat') AS refused;
SELECT pg_temp.join('l-dan') AS dan;
DELETE FROM rt.meeting_waiting WHERE user_id = 'l-dan';
EXECUTE mark \g /dev/null
SELECT event, receivers, payload - 'waitingId' - 'timestamp' AS payload FROM pg_temp.heard() WHERE event NOT LIKE 'rt:%';

-- ---- an application's role --------------------------------------------------------------
SELECT pg_temp.join('l-dan') AS dan;
SET ROLE rt_app;
SET rt.user_id = 'l-dan';
SELECT user_id, status FROM rt.meeting_waiting ORDER BY user_id;
SELECT rt.admit_waiting(:m);
UPDATE rt.meeting_waiting SET status = 'admitted';
SET rt.user_id = 'l-ann';
SELECT user_id, status FROM rt.meeting_waiting ORDER BY user_id;
SELECT rt.admit_waiting(:m);
RESET ROLE;
RESET rt.user_id;
SELECT user_id, status, decided_by FROM rt.meeting_waiting ORDER BY user_id;

-- ---- who is not connected, and the end -----------------------------------------------------
INSERT INTO rt.meeting_waiting (meeting_id, user_id, display_name, socket_id, asked_at) VALUES (:m, 'l-ann', 'Ann', 'gone', now() - interval '11 s');
SELECT rt_private.sweep_lobbies();
SELECT count(*) FROM rt.meeting_waiting WHERE user_id = 'l-ann';
SELECT rt.end_meeting(:m);
SELECT count(*) FROM rt.meeting_waiting WHERE meeting_id = :m;
SELECT rt.admit_waiting(:m);
DELETE FROM rt.users WHERE id LIKE 'l-%';
