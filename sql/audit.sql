-- What is written into rt.audit, and who may read it.
\set VERBOSITY sqlstate
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;
CREATE TABLE mark (at timestamptz);
INSERT INTO mark VALUES (clock_timestamp());
-- ids are as they come: rooms, meetings, participants, recordings and keys by a name of their own
CREATE VIEW seen AS
SELECT action, user_id, role = current_user AS mine, address, gateway, detail - 'roomId' - 'meetingId' - 'participantId' - 'recordingId' - 'kid' - 'last' - 'sessionId' AS detail
FROM rt.audit WHERE at > (SELECT at FROM mark) ORDER BY at;

-- users and keys
SELECT rt.create_user('au-ann', 'Ann', 'secret'), rt.create_user('au-bob', 'Bob'), rt.create_user('au-eve', 'Eve');
SELECT rt.set_password('au-bob', 'another');
UPDATE rt.users SET is_admin = true WHERE id = 'au-ann';
UPDATE rt.users SET name = 'is nobody''s business' WHERE id = 'au-ann';
UPDATE rt.users SET username = 'au-robert' WHERE id = 'au-bob';
SELECT length(rt.issue_token('au-ann')) > 0 AS token;
SELECT rt.rotate_key() AS kid \gset
SELECT rt.retire_key(:'kid');
DELETE FROM rt_private.keys WHERE kid = :'kid';
SELECT rt.disconnect_user('au-ann', 'maintenance');
SELECT * FROM seen;
UPDATE mark SET at = clock_timestamp();

-- what is rolled back was not done; a restored row is as old as it says
BEGIN;
SELECT rt.set_password('au-bob', 'x');
ROLLBACK;
INSERT INTO rt.users (id, username, name, created_at) VALUES ('au-old', 'au-old', 'Old', '2020-01-01');
SELECT * FROM seen;

-- logins: those of a minute are counted; what was typed as a name that is no user's may be a password
TRUNCATE rt.audit;
SELECT rt_api.auth(NULL, '{"username": "au-ann", "password": "secret", "address": "192.0.2.1", "gateway": "g1"}') ->> 'status' AS status;
SELECT rt_api.auth(NULL, '{"username": "au-ann", "password": "wrong", "address": "192.0.2.1", "gateway": "g1"}') ->> 'status' AS status
FROM generate_series(1, 5);
SELECT rt_api.auth(NULL, '{"username": "my-password", "password": "x", "address": "192.0.2.1", "gateway": "g1"}') ->> 'status' AS status;
SELECT action, user_id, address, gateway, sum((detail ->> 'count')::integer) AS count FROM seen GROUP BY 1, 2, 3, 4 ORDER BY 1, 2;
-- and a flood from many addresses takes no more than its share
SELECT count(rt_private.audit_login('login-failed', 'au-ann', format('198.51.100.%s', i), 'g1')) AS attempts FROM generate_series(1, 250) AS i;
SELECT count(*) <= 2 * 102 AS bounded, sum((detail ->> 'count')::integer) AS counted FROM seen WHERE action = 'login-failed';
SELECT count(rt_private.audit_login('login', 'au-ann', format('198.51.100.%s', i), 'g1')) AS logins FROM generate_series(1, 250) AS i;
SELECT count(*) >= 250 AS each_is_there FROM seen WHERE action = 'login';
SELECT count(*) AS secrets FROM rt.audit AS a WHERE a::text ~ 'secret|another|wrong|my-password';
UPDATE mark SET at = clock_timestamp();

-- rooms, by SQL and by REST alike; who leaves is not removed
SELECT rt.create_room('Audit', ARRAY['au-ann', 'au-bob', 'au-eve']) AS room \gset
UPDATE rt.room_members SET role = 'admin' WHERE room_id = :room AND user_id = 'au-eve';
SELECT rt_api.member_remove('au-ann', jsonb_build_object('roomId', :'room', 'userId', 'au-eve')) ->> 'status' AS removed;
SELECT rt_api.member_remove('au-bob', jsonb_build_object('roomId', :'room', 'userId', 'au-bob')) ->> 'status' AS left;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'au-ann', 'not audited');
DELETE FROM rt.rooms WHERE id = :room;
SELECT * FROM seen;
UPDATE mark SET at = clock_timestamp();

-- meetings, by event and by SQL
SELECT rt.create_meeting('Audit', 'au-ann', access => 'anyone') AS m \gset
SELECT count(rt_api.meeting_join(u, jsonb_build_object('meetingId', :'m', 'sid', 's-' || u, 'gateway', 'test-gateway')))
FROM unnest(ARRAY['au-ann', 'au-bob']) AS u;
SELECT id AS p FROM rt.meeting_participants WHERE meeting_id = :m AND user_id = 'au-bob' \gset
SELECT jsonb_build_object('meetingId', :'m', 'sid', 's-au-ann', 'gateway', 'test-gateway', 'participantId', :'p') AS req \gset
SELECT count(rt_api.meeting_mute('au-ann', :'req'::jsonb || '{"mute": true}'));
SELECT count(rt_api.meeting_role('au-ann', :'req'::jsonb || '{"role": "viewer"}'));
SELECT count(rt_api.meeting_lock('au-ann', :'req'::jsonb || '{"locked": true}'));
SELECT rt.set_meeting_password(:m, 'secret');
INSERT INTO rt.meeting_recordings (meeting_id, started_by) VALUES (:m, 'au-ann');
SELECT count(rt_api.meeting_remove('au-ann', :'req'::jsonb || '{"reason": "noise"}'));
SELECT rt_api.admin_end_meeting('au-ann', :'req'::jsonb) ->> 'status' AS ended;
DELETE FROM rt.meetings WHERE id = :m;
DELETE FROM rt.users WHERE id = 'au-bob';
SELECT * FROM seen;
DELETE FROM rt.users WHERE id LIKE 'au-%';

-- who reads it
SET ROLE rt_app;
SELECT count(*) FROM rt.audit;
SET ROLE pg_monitor;
SELECT count(*) FROM rt.audit;
SET ROLE rt_auditor;
SELECT count(*) > 0 AS reads FROM rt.audit;
DELETE FROM rt.audit;
SELECT count(*) FROM rt.users;
RESET ROLE;
DROP VIEW seen;
DROP TABLE mark;
