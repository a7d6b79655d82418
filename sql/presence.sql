-- Presence after a gateway has died with many users on it: the sweep must end long before the gateways' statement timeout.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;

BEGIN;
SET LOCAL rt.suppress_events = on;
INSERT INTO rt.users (id, username, name) SELECT 'p-' || i, 'p-' || i, 'P' FROM generate_series(1, 5000) AS i;
INSERT INTO rt.presence (user_id, status, last_seen) SELECT 'p-' || i, 'online', now() - interval '1 min' FROM generate_series(1, 5000) AS i;
INSERT INTO rt_private.sessions (pid, sid, user_id, ended_at)
SELECT 'p-' || i, 'p-' || i, 'p-' || i % 5000 + 1, now() - interval '1 min' FROM generate_series(1, 20000) AS i;
-- of two users one is connected, the other one was until just now
INSERT INTO rt_private.gateways (name, slot) VALUES ('p-gw', 0);
INSERT INTO rt_private.connections (sid, user_id, gateway) VALUES ('p-1', 'p-1', 'p-gw');
INSERT INTO rt_private.sessions (pid, sid, user_id, ended_at) VALUES ('p-just', 'p-just', 'p-2', clock_timestamp());
-- the server has run for long enough to know which connections there are
INSERT INTO rt_private.clock AS c (server_start, ahead, seen_at) VALUES (pg_postmaster_start_time(), 0, clock_timestamp() - interval '1 min')
ON CONFLICT (one) DO UPDATE SET seen_at = excluded.seen_at;
SET LOCAL statement_timeout = '5s';
SELECT rt_private.sweep_gateways();
SELECT status, count(*) FROM rt.presence WHERE user_id LIKE 'p-%' GROUP BY 1 ORDER BY 1;
SELECT user_id FROM rt.presence WHERE user_id LIKE 'p-%' AND status = 'online' ORDER BY 1;
-- Whoever comes online is as present as the connections, or away if that was chosen. What is set by hand is set for all of them.
INSERT INTO rt_private.connections (sid, user_id, gateway, status) VALUES ('p-3', 'p-3', 'p-gw', 'away'), ('p-4', 'p-4', 'p-gw', 'online'),
	('p-5', 'p-5', 'p-gw', 'away');
UPDATE rt.presence SET chosen = 'away' WHERE user_id = 'p-4';
SELECT rt_private.come_online(ARRAY['p-5', 'p-4', 'p-5']);
UPDATE rt.presence SET status = 'online' WHERE user_id = 'p-3';
SELECT p.user_id, p.status, p.chosen, c.status AS connection
FROM rt.presence AS p JOIN rt_private.connections AS c USING (user_id) WHERE user_id IN ('p-3', 'p-4', 'p-5') ORDER BY 1;
ROLLBACK;
