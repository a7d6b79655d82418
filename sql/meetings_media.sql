-- Media signalling in SQL: what a client may ask for, what a worker gets, what becomes of its answers; placement.
\set VERBOSITY sqlstate
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;

\i sql/lib/heard.sql
DELETE FROM rt_private.media_workers;
SELECT count(rt.create_user('v-' || u, initcap(u), NULL)) FROM unnest(ARRAY['ann', 'ben', 'cat', 'out']) AS u;
SELECT rt.create_meeting('Call', 'v-ann', access => 'anyone') AS m \gset

-- A request of a client, and what the test's worker sees and answers.
CREATE FUNCTION pg_temp.ask(who text, op text, more jsonb DEFAULT '{}') RETURNS json LANGUAGE sql AS $$
	SELECT rt_api.media_request('v-' || who,
		jsonb_build_object('op', op, 'sid', 'v-s-' || who, 'gateway', 'test-gateway', 'tag', who || ' ' || op) || more)
$$;
CREATE FUNCTION pg_temp.fetch(worker text, again boolean DEFAULT false) RETURNS SETOF jsonb LANGUAGE sql AS $$
	SELECT r::jsonb FROM json_array_elements(rt_api.media_fetch(NULL, jsonb_build_object('worker', worker, 'again', again)) -> 'requests') AS r
$$;
CREATE FUNCTION pg_temp.answer(worker text, request text, result jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT rt_api.media_answer(NULL, jsonb_build_object('worker', worker, 'answers',
		jsonb_build_array(jsonb_build_object('requestId', request, 'ok', true, 'result', result)))) ->> 'void'
$$;
-- The same in one go: asks, answers, gives the request as the worker saw it.
CREATE FUNCTION pg_temp.done(worker text, result jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE plpgsql AS $$
DECLARE
	r jsonb := (SELECT f FROM pg_temp.fetch(worker, true) AS f WHERE (f ->> 'reply')::boolean);
BEGIN
	UPDATE rt_private.media_requests SET created_at = clock_timestamp() WHERE id = (r ->> 'requestId')::bigint;
	PERFORM pg_temp.answer(worker, r ->> 'requestId', result);
	RETURN r - ARRAY['requestId', 'meetingId', 'participantId', 'routerId', 'transportId', 'producerId', 'consumerId'];
END
$$;
CREATE FUNCTION pg_temp.beat(worker text, load integer) RETURNS text LANGUAGE sql AS $$
	SELECT rt_api.media_heartbeat(NULL, jsonb_build_object('worker', worker, 'load', load)) ->> 'known';
	UPDATE rt_private.media_workers SET heartbeat_at = clock_timestamp() + interval '1 hour' WHERE id = worker
	RETURNING 'known'
$$;
CREATE FUNCTION pg_temp.start(worker text, slot text, capacity integer DEFAULT 1000) RETURNS json LANGUAGE sql AS $$
	SELECT rt_api.media_start(NULL, jsonb_build_object('worker', worker, 'slot', slot, 'addresses', '["127.0.0.1"]'::jsonb,
		'udpPort', 4502, 'tcpPort', 4502, 'capacity', capacity, 'fingerprint', '{"algorithm":"sha-256","value":"00"}'::jsonb,
		'iceCandidates', '[{"protocol":"udp"}]'::jsonb));
	-- However slow this machine is: none falls silent but where the test says so.
	UPDATE rt_private.media_workers SET heartbeat_at = clock_timestamp() + interval '1 hour' WHERE slot LIKE 'test:%'
	RETURNING '{}'::json
$$;
SELECT count(rt_api.meeting_join('v-' || u, jsonb_build_object('meetingId', :'m', 'sid', 'v-s-' || u, 'gateway', 'test-gateway')))
FROM unnest(ARRAY['ann', 'ben', 'cat']) AS u;
UPDATE rt.meeting_participants SET role = 'viewer' WHERE meeting_id = :m AND user_id = 'v-cat';
SELECT id AS ann FROM rt.meeting_participants WHERE meeting_id = :m AND user_id = 'v-ann' \gset
SELECT id AS ben FROM rt.meeting_participants WHERE meeting_id = :m AND user_id = 'v-ben' \gset

-- No worker: an error at once.
SELECT pg_temp.ask('ann', 'create-transport', jsonb_build_object('meetingId', :'m', 'direction', 'send'));
SELECT pg_temp.start('w1', 'test:0');
SELECT pg_temp.ask('ann', 'create-transport', jsonb_build_object('meetingId', :'m', 'direction', 'up'));
SELECT pg_temp.ask('ann', 'create-transport', '{"meetingId":"999999999","direction":"send"}');
SELECT pg_temp.ask('out', 'create-transport', jsonb_build_object('meetingId', :'m', 'direction', 'send'));
SELECT pg_temp.ask('ann', 'no-such-thing');
-- A transport is answered at once, and made by a command: handed out once, once more if asked for, and done with when the
-- worker asks on.
SELECT pg_temp.ask('ann', 'create-transport', jsonb_build_object('meetingId', :'m', 'direction', 'send')) AS made \gset
SELECT :'made'::jsonb ->> 'event' AS event, (:'made'::jsonb -> 'ack') - ARRAY['id', 'transportId', 'iceParameters'] AS ack,
	(SELECT jsonb_object_agg(key, regexp_replace(value, '[A-Za-z0-9+/]', 'x', 'g'))
		FROM jsonb_each_text(:'made'::jsonb -> 'ack' -> 'iceParameters')) AS ice;
SELECT :'made'::jsonb -> 'ack' ->> 'id' AS ta \gset
SELECT f - ARRAY['requestId', 'meetingId', 'participantId', 'routerId', 'transportId', 'iceParameters'] AS request,
	f -> 'iceParameters' = :'made'::jsonb -> 'ack' -> 'iceParameters' AS ice, f ->> 'transportId' = :'ta' AS id
FROM pg_temp.fetch('w1') AS f;
SELECT count(*) FROM pg_temp.fetch('w1', true);
SELECT count(*) FROM pg_temp.fetch('w1');
SELECT count(*) FROM rt_private.media_requests;
-- A request is answered once, by its worker.  An ICE password is fetched, once, and never in a notification.
SELECT pg_temp.ask('ann', 'restart-ice', jsonb_build_object('transportId', :'ta')) ->> 'event' AS event;
SELECT count(*) FROM pg_temp.fetch('w1');
SELECT f ->> 'requestId' AS req FROM pg_temp.fetch('w1', true) AS f \gset
SELECT pg_temp.answer('w2', :'req') = jsonb_build_array(:'req')::text AS not_its_own;
SELECT pg_temp.answer('w1', :'req', '{"iceParameters":{"usernameFragment":"u"}}') AS void;
SELECT pg_temp.answer('w1', :'req') = jsonb_build_array(:'req')::text AS answered_already;
SELECT (a -> 'ack')::jsonb - ARRAY['id', 'transportId'] AS ack, a ->> 'event' AS event, a ->> 'tag' AS tag, a -> 'ack' ->> 'transportId' = :'ta' AS id
FROM json_array_elements(rt_api.media_result(NULL, jsonb_build_object('requestIds', jsonb_build_array(:'req'))) -> 'answers') AS a;
SELECT rt_api.media_result(NULL, jsonb_build_object('requestIds', jsonb_build_array(:'req')));
-- What does not fit into a notification is fetched.
SELECT pg_temp.ask('ann', 'connect-transport', jsonb_build_object('transportId', :'ta', 'dtlsParameters',
	jsonb_build_object('role', repeat('x', 8000)))) ->> 'event' AS event;
SELECT length(f -> 'dtlsParameters' ->> 'role') AS length FROM pg_temp.fetch('w1') AS f;
DELETE FROM rt_private.media_requests;

-- connect: once, by its owner.
SELECT pg_temp.ask('ben', 'connect-transport', jsonb_build_object('transportId', :'ta', 'dtlsParameters', '{}'::jsonb));
SELECT pg_temp.ask('ann', 'connect-transport', jsonb_build_object('transportId', :'ta'));
SELECT pg_temp.ask('ann', 'connect-transport', jsonb_build_object('transportId', :'ta', 'dtlsParameters', '{"role":"client"}'::jsonb)) ->> 'event' AS event;
SELECT pg_temp.done('w1');
SELECT pg_temp.ask('ann', 'connect-transport', jsonb_build_object('transportId', :'ta', 'dtlsParameters', '{}'::jsonb));

-- produce
EXECUTE mark \g /dev/null
SELECT count(*) > 0 AS heard FROM pg_temp.heard();
SELECT pg_temp.ask('ann', 'produce', jsonb_build_object('meetingId', :'m', 'transportId', :'ta', 'kind', 'smell', 'rtpParameters', '{}'::jsonb));
SELECT pg_temp.ask('ann', 'produce', jsonb_build_object('meetingId', :'m', 'transportId', :'ta', 'kind', 'audio', 'rtpParameters', '[]'::jsonb));
SELECT pg_temp.ask('ann', 'produce', jsonb_build_object('meetingId', :'m', 'transportId', :'ta', 'kind', 'audio', 'source', 'camera',
	'rtpParameters', '{}'::jsonb));
SELECT pg_temp.ask('ann', 'produce', jsonb_build_object('meetingId', :'m', 'transportId', 'nowhere', 'kind', 'audio', 'rtpParameters', '{}'::jsonb));
SELECT pg_temp.ask('ann', 'produce', jsonb_build_object('meetingId', :'m', 'transportId', :'ta', 'kind', 'audio', 'rtpParameters',
	'{"codecs":[]}'::jsonb)) ->> 'event' AS event;
SELECT pg_temp.done('w1', '{"type":"simple"}');
SELECT pg_temp.ask('ann', 'produce', jsonb_build_object('meetingId', :'m', 'transportId', :'ta', 'kind', 'video', 'source', 'screen',
	'rtpParameters', '{"codecs":[]}'::jsonb, 'paused', true)) ->> 'event' AS event;
SELECT pg_temp.done('w1', '{"type":"simulcast"}');
SELECT id AS audio FROM rt_private.media_producers WHERE participant_id = :ann AND kind = 'audio' \gset
SELECT id AS video FROM rt_private.media_producers WHERE participant_id = :ann AND kind = 'video' \gset
EXECUTE mark \g /dev/null
SELECT event, receivers, payload - 'producerId' AS payload FROM pg_temp.heard();
SELECT p ->> 'userId' AS who, (SELECT jsonb_agg(d - 'producerId') FROM jsonb_array_elements(p::jsonb -> 'producers') AS d) AS producers
FROM json_array_elements(rt_api.meeting_participants('v-ben', jsonb_build_object('meetingId', :'m')) -> 'data') AS p;
-- A viewer has transports, but sends nothing.
SELECT pg_temp.ask('cat', 'create-transport', jsonb_build_object('meetingId', :'m', 'direction', 'send')) ->> 'event' AS event;
SELECT id AS tc FROM rt_private.media_transports WHERE socket_id = 'v-s-cat' \gset
SELECT pg_temp.ask('cat', 'produce', jsonb_build_object('meetingId', :'m', 'transportId', :'tc', 'kind', 'audio', 'rtpParameters', '{}'::jsonb));

-- consume
SELECT pg_temp.ask('ben', 'create-transport', jsonb_build_object('meetingId', :'m', 'direction', 'recv')) ->> 'event' AS event;
SELECT id AS tb FROM rt_private.media_transports WHERE socket_id = 'v-s-ben' \gset
SELECT pg_temp.ask('ann', 'consume', jsonb_build_object('meetingId', :'m', 'transportId', :'ta', 'producerId', :'audio', 'rtpCapabilities', '{}'::jsonb));
SELECT pg_temp.ask('ben', 'consume', jsonb_build_object('meetingId', :'m', 'transportId', :'tb', 'producerId', 'none', 'rtpCapabilities', '{}'::jsonb));
SELECT pg_temp.ask('ben', 'consume', jsonb_build_object('meetingId', :'m', 'transportId', :'tb', 'producerId', :'audio'));
SELECT pg_temp.ask('ben', 'consume', jsonb_build_object('meetingId', :'m', 'transportId', :'tb', 'producerId', :'audio', 'rtpCapabilities', '{}'::jsonb)) ->> 'event' AS event;
SELECT pg_temp.done('w1', '{"rtpParameters":{"mid":"0"},"type":"simple"}');
SELECT pg_temp.ask('ben', 'consume', jsonb_build_object('meetingId', :'m', 'transportId', :'tb', 'producerParticipantId', :'ann', 'kind', 'video',
	'rtpCapabilities', '{}'::jsonb)) ->> 'event' AS event;
SELECT pg_temp.done('w1', '{"rtpParameters":{"mid":"1"},"type":"simulcast"}');
SELECT kind, paused FROM rt_private.media_consumers WHERE participant_id = :ben ORDER BY kind;
SELECT id AS cv FROM rt_private.media_consumers WHERE participant_id = :ben AND kind = 'video' \gset
SELECT pg_temp.ask('cat', 'resume-consumer', jsonb_build_object('consumerId', :'cv'));
SELECT pg_temp.ask('ben', 'resume-consumer', jsonb_build_object('consumerId', :'cv')) ->> 'event' AS event;
SELECT pg_temp.done('w1');
SELECT paused FROM rt_private.media_consumers WHERE id = :'cv';
SELECT pg_temp.ask('ben', 'set-preferred-layers', jsonb_build_object('consumerId', :'cv', 'spatialLayer', -1));
SELECT pg_temp.ask('ben', 'set-preferred-layers', jsonb_build_object('consumerId', :'cv', 'spatialLayer', 1, 'temporalLayer', 'x'));
SELECT pg_temp.ask('ben', 'set-preferred-layers', jsonb_build_object('consumerId', :'cv', 'spatialLayer', 1, 'priority', 256));
SELECT pg_temp.ask('ben', 'set-preferred-layers', jsonb_build_object('consumerId', :'cv', 'spatialLayer', 1, 'priority', 255)) ->> 'event' AS event;
SELECT pg_temp.done('w1');
SELECT pg_temp.ask('ben', 'get-stats', jsonb_build_object('consumerId', :'cv')) ->> 'event' AS event;
SELECT pg_temp.done('w1', '{"stats":[]}');

-- Of two in a row the second one counts, be it answered first.
SELECT pg_temp.ask('ann', 'resume-producer', jsonb_build_object('producerId', :'video')) ->> 'pending' AS first \gset
SELECT pg_temp.ask('ann', 'pause-producer', jsonb_build_object('producerId', :'video')) ->> 'pending' AS second \gset
SELECT pg_temp.answer('w1', :'second') AS void, pg_temp.answer('w1', :'first') AS void;
SELECT paused FROM rt_private.media_producers WHERE id = :'video';

-- Pause, mute, resume, close.
EXECUTE mark \g /dev/null
SELECT count(*) > 0 AS heard FROM pg_temp.heard();
SELECT pg_temp.ask('ben', 'pause-producer', jsonb_build_object('producerId', :'audio'));
SELECT pg_temp.ask('ann', 'resume-producer', jsonb_build_object('producerId', :'video')) ->> 'event' AS event;
SELECT pg_temp.done('w1');
SELECT rt.mute_participant(:ann);
SELECT f ->> 'op' AS op, f ->> 'reply' AS reply, f ->> 'muted' AS muted, f ->> 'producerId' = :'audio' AS audio FROM pg_temp.fetch('w1') AS f;
SELECT pg_temp.ask('ann', 'resume-producer', jsonb_build_object('producerId', :'audio'));
-- A new producer of a muted participant is muted from the start.
SELECT pg_temp.ask('ann', 'produce', jsonb_build_object('meetingId', :'m', 'transportId', :'ta', 'kind', 'audio', 'source', 'screen-audio',
	'rtpParameters', '{}'::jsonb)) ->> 'event' AS event;
SELECT pg_temp.done('w1');
SELECT rt.mute_participant(:ann, false);
SELECT count(*) FROM pg_temp.fetch('w1') AS f WHERE f ->> 'op' = 'mute-producer' AND f ->> 'muted' = 'false';
SELECT pg_temp.ask('ann', 'close-producer', jsonb_build_object('producerId', :'video')) ->> 'event' AS event;
SELECT pg_temp.done('w1');
SELECT count(*) FROM rt_private.media_consumers WHERE id = :'cv';
EXECUTE mark \g /dev/null
SELECT event, receivers, payload - 'producerId' AS payload FROM pg_temp.heard();
-- Who becomes a viewer is stopped.
UPDATE rt.meeting_participants SET role = 'viewer' WHERE id = :ann;
SELECT f ->> 'op' AS op, jsonb_array_length(f -> 'producerIds') AS n FROM pg_temp.fetch('w1') AS f;
SELECT count(*) FROM rt_private.media_producers WHERE participant_id = :ann;
UPDATE rt.meeting_participants SET role = 'host' WHERE id = :ann;

-- What a worker refuses, and what it sees by itself.
SELECT pg_temp.ask('ann', 'restart-ice', jsonb_build_object('transportId', :'ta')) ->> 'pending' AS req \gset
SELECT rt_api.media_answer(NULL, jsonb_build_object('worker', 'w1', 'answers', jsonb_build_array(
	jsonb_build_object('requestId', :'req', 'ok', false, 'error', '{"code":"conflict","message":"no"}'::jsonb)))) ->> 'void' AS void;
SELECT pg_temp.ask('ann', 'produce', jsonb_build_object('meetingId', :'m', 'transportId', :'ta', 'kind', 'audio', 'rtpParameters',
	'{}'::jsonb)) ->> 'event' AS event;
SELECT pg_temp.done('w1');
EXECUTE mark \g /dev/null
SELECT count(*) > 0 AS heard FROM pg_temp.heard();
SELECT rt_api.media_event(NULL, jsonb_build_object('worker', 'other', 'events', jsonb_build_array(
	jsonb_build_object('type', 'transport-closed', 'transportId', :'ta', 'reason', 'idle'))));
SELECT rt_api.media_event(NULL, jsonb_build_object('worker', 'w1', 'events', jsonb_build_array(
	jsonb_build_object('type', 'active-speaker', 'producerId', :'audio', 'volume', -20),
	jsonb_build_object('type', 'transport-closed', 'transportId', :'ta', 'reason', 'idle'))));
SELECT rt_api.media_event(NULL, '{"worker":"w1","events":[{"type":"nonsense"}]}');
EXECUTE mark \g /dev/null
SELECT event, receivers, payload - ARRAY['producerId', 'transportId', 'routerId'] AS payload FROM pg_temp.heard();

-- An answer that comes too late, or for who has left, is void.
SELECT pg_temp.ask('ben', 'restart-ice', jsonb_build_object('transportId', :'tb')) ->> 'pending' AS req \gset
UPDATE rt_private.media_requests SET created_at = created_at - interval '6 seconds' WHERE id = :req;
SELECT pg_temp.answer('w1', :'req') = jsonb_build_array(:'req')::text AS void;
SELECT pg_temp.ask('cat', 'restart-ice', jsonb_build_object('transportId', :'tc')) ->> 'pending' AS req \gset
SELECT rt_api.meeting_leave('v-cat', jsonb_build_object('meetingId', :'m', 'sid', 'v-s-cat')) ->> 'participantId' IS NOT NULL AS has_left;
SELECT pg_temp.answer('w1', :'req') = jsonb_build_array(:'req')::text AS void;
SELECT f ->> 'op' AS op, f -> 'transportIds' = jsonb_build_array(:'tc') AS its_own FROM pg_temp.fetch('w1') AS f WHERE f ->> 'op' LIKE 'close%';

-- No more requests at once than a limit.
SELECT count(pg_temp.ask('ben', 'restart-ice', jsonb_build_object('transportId', :'tb'))) AS asked FROM generate_series(1, 60);
DO $$
BEGIN
	FOR i IN 1 .. 10 LOOP
		PERFORM pg_temp.ask('ben', 'restart-ice', jsonb_build_object('transportId', (SELECT id FROM rt_private.media_transports WHERE socket_id = 'v-s-ben')));
	END LOOP;
END
$$;
SELECT count(*) FROM rt_private.media_requests WHERE participant_id = :ben;
DELETE FROM rt_private.media_requests;

-- ---- placement -------------------------------------------------------------------------------------------------
SELECT pg_temp.start('w2', 'test:1', 500);
SELECT pg_temp.start('w3', 'test:2', 500);
SELECT pg_temp.beat('w1', 900);
SELECT pg_temp.beat('w2', 100);
SELECT pg_temp.beat('w3', 500);
SELECT rt_api.media_heartbeat(NULL, '{"worker":"w9","load":0}') ->> 'known' AS known;
SELECT (rt_private.media_place(rt.create_meeting('P' || n, 'v-ann'), NULL)).worker FROM generate_series(1, 2) AS n;
-- A worker that restarts in its slot, and one that falls silent: its meetings go on elsewhere, the owners are told.
EXECUTE mark \g /dev/null
SELECT count(*) > 0 AS heard FROM pg_temp.heard();
SELECT pg_temp.ask('ben', 'restart-ice', jsonb_build_object('transportId', :'tb')) ->> 'event' AS event;
SELECT pg_temp.start('w1b', 'test:0');
EXECUTE mark \g /dev/null
SELECT event, receivers, payload - ARRAY['transportId', 'routerId'] AS payload, payload ? 'routerId' AS placed FROM pg_temp.heard();
SELECT worker FROM rt_private.media_routers WHERE meeting_id = :m;
SELECT count(*) FROM rt_private.media_requests WHERE worker = 'w1';
SELECT pg_temp.ask('ben', 'create-transport', jsonb_build_object('meetingId', :'m', 'direction', 'recv')) ->> 'event' AS event;
UPDATE rt_private.media_workers SET heartbeat_at = now() - interval '1 minute' WHERE id = 'w1b';
SELECT id AS tb FROM rt_private.media_transports WHERE socket_id = 'v-s-ben' \gset
SELECT pg_temp.ask('ben', 'restart-ice', jsonb_build_object('transportId', :'tb'));
SELECT rt_api.meeting_sweep(NULL, '{}') ->> 'workersLost' AS lost;
SELECT rt_api.meeting_sweep(NULL, '{}') ->> 'workersLost' AS lost;
SELECT worker FROM rt_private.media_routers WHERE meeting_id = :m;
SELECT rt_api.media_stop(NULL, '{"worker":"w2"}');
SELECT count(*) AS workers, count(*) FILTER (WHERE meetings > 0) AS with_meetings FROM rt.stat_media_workers;
-- Back on another socket, with a new transport: the old one of that direction goes.
SELECT pg_temp.beat('w3', 0);
SELECT pg_temp.ask('ben', 'create-transport', jsonb_build_object('meetingId', :'m', 'direction', 'recv')) ->> 'event' AS event;
SELECT f ->> 'op' AS op FROM pg_temp.fetch('w3') AS f;
SELECT json_array_length(rt_api.meeting_disconnected('v-ben', '{"sid":"v-s-ben","gateway":"test-gateway"}') -> 'meetings') AS dropped;
SELECT (rt_api.meeting_join('v-ben', jsonb_build_object('meetingId', :'m', 'sid', 'v-s-ben2', 'gateway', 'test-gateway')) ->> 'participantId')::bigint = :ben AS same;
SELECT pg_temp.ask('ben', 'create-transport', jsonb_build_object('meetingId', :'m', 'direction', 'recv', 'sid', 'v-s-ben2')) ->> 'event' AS event;
SELECT f ->> 'op' AS op FROM pg_temp.fetch('w3') AS f;
SELECT socket_id, direction FROM rt_private.media_transports WHERE participant_id = :ben;

-- Figures.
SELECT rt_api.media_heartbeat(NULL, jsonb_build_object('worker', 'w3', 'load', 1, 'stats', jsonb_build_array(
	jsonb_build_object('type', 'transport', 'id', (SELECT id FROM rt_private.media_transports WHERE participant_id = :ben),
		'bytes', 4294967296, 'rttMs', 12.5, 'estimateBps', 600000, 'dtlsState', 'connected')))) ->> 'known' AS known;
SELECT object, type, state, bytes, rtt_ms, estimate_bps FROM rt.stat_media WHERE meeting_id = :m;
SELECT participants, in_grace, transports, producers, consumers, media_worker FROM rt.stat_meetings WHERE meeting_id = :m;
SELECT cpu_percent, packets_per_second FROM rt.stat_media_workers WHERE worker = 'w3';
SELECT rt_api.media_heartbeat(NULL, '{"worker":"w3","load":1,"totals":{"cpuPercent":17,"packetsPerSecond":4294967296}}') ->> 'known' AS known;
SELECT cpu_percent, packets_per_second FROM rt.stat_media_workers WHERE worker = 'w3';

-- Statistics apart from the heartbeat.  Thousands of them, by a plan that was cached while the tables were empty: they are
-- looked up one by one, whatever the planner thought.  It takes tenths of a second; a quadratic plan took minutes.
SELECT rt_api.media_stats(NULL, jsonb_build_object('worker', 'w3', 'stats', jsonb_build_array(
	jsonb_build_object('type', 'transport', 'id', (SELECT id FROM rt_private.media_transports WHERE participant_id = :ben), 'bytes', 7),
	'{"type":"consumer","id":"nowhere"}'::jsonb, '{"type":"nothing"}'::jsonb)));
SELECT bytes, estimate_bps FROM rt.stat_media WHERE meeting_id = :m;
SELECT rt_api.media_stats(NULL, '{"worker":"w3","stats":"none"}');
VACUUM ANALYZE rt_private.media_consumers;
SELECT count(rt_api.media_stats(NULL, '{"worker":"w3","stats":[{"type":"consumer","id":"nowhere"}]}')) AS cached FROM generate_series(1, 10);
SET statement_timeout = '60s';
BEGIN;
SET LOCAL session_replication_role = replica;
INSERT INTO rt_private.media_consumers (id, transport_id, producer_id, worker, meeting_id, participant_id, kind)
SELECT 'v-c' || i, 'v-t', 'v-d', 'w3', :m, :ben, 'audio' FROM generate_series(1, 4000) AS i;
SELECT rt_api.media_stats(NULL, jsonb_build_object('worker', 'w3', 'stats',
	(SELECT jsonb_agg(jsonb_build_object('type', 'consumer', 'id', 'v-c' || i, 'packets', i)) FROM generate_series(1, 4000) AS i)));
SELECT count(*) FROM rt_private.media_consumers WHERE stats ->> 'packets' = substr(id, 4);
ROLLBACK;
RESET statement_timeout;

-- The end of the meeting frees all.
SELECT rt.end_meeting(:m);
SELECT f ->> 'op' AS op FROM pg_temp.fetch('w3') AS f;
SELECT (SELECT count(*) FROM rt_private.media_transports WHERE meeting_id = :m) AS transports,
	(SELECT count(*) FROM rt_private.media_routers WHERE meeting_id = :m) AS routers;

-- What a router can do: every payload type once, none of them 127; every extension one id.
SELECT count(*) AS codecs, count(DISTINCT c ->> 'preferredPayloadType') AS types, max((c ->> 'preferredPayloadType')::integer) < 127 AS low
FROM json_array_elements(rt_private.router_rtp_capabilities() -> 'codecs') AS c;
SELECT c ->> 'mimeType' AS mime_type, c ->> 'preferredPayloadType' AS pt, c -> 'parameters' AS parameters
FROM json_array_elements(rt_private.router_rtp_capabilities() -> 'codecs') AS c;
SELECT count(DISTINCT e ->> 'uri') AS uris, count(DISTINCT e ->> 'preferredId') AS ids, max((e ->> 'preferredId')::integer) <= 14 AS one_byte
FROM json_array_elements(rt_private.router_rtp_capabilities() -> 'headerExtensions') AS e;
DELETE FROM rt_private.media_workers;
