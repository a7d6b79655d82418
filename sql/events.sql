-- Messages get their numbers and leave events: when, and only if, the transaction commits.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;
-- what other tests have lost is theirs
SELECT lost FROM rt.stat_relay \gset before_

INSERT INTO rt.users (id, username, name) VALUES ('ev-ann', 'ev-ann', 'Ann'), ('ev-bob', 'ev-bob', 'Bob "B"');
INSERT INTO rt.rooms (id, name) OVERRIDING SYSTEM VALUE VALUES (910001, 'one'), (910002, 'two'), (910003, 'three');

-- Polls until the relay has taken everything that has been committed.
CREATE FUNCTION relay_done() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 12000 LOOP
        IF (SELECT ring_used = 0 AND pid IS NOT NULL FROM rt.stat_relay) THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
    RAISE EXCEPTION 'the relay has not caught up within two minutes';
END
$$;

-- The events of the test's rooms that came since the last call, in the order of their positions.
CREATE TABLE seen (pos bigint);
SELECT relay_done();
INSERT INTO seen SELECT coalesce(max(pos), 0) FROM rt.events;
CREATE FUNCTION logged() RETURNS TABLE (room bigint, seq bigint, event text, content text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM relay_done();
    RETURN QUERY SELECT e.room_id - 910000, e.seq, e.event, e.line -> 'data' ->> 'content'
        FROM (SELECT x.*, rt_private.event_text(x)::json AS line FROM rt.events x) e
        WHERE e.pos > (SELECT max(s.pos) FROM seen s) AND e.room_id BETWEEN 910001 AND 910003
        ORDER BY e.pos;
    INSERT INTO seen SELECT max(e.pos) FROM rt.events e;
END
$$;
CREATE VIEW numbers AS
    SELECT r.id - 910000 AS room, r.last_seq, count(m.seq) AS messages, coalesce(max(m.seq), 0) AS highest
    FROM rt.rooms r LEFT JOIN rt.messages m ON m.room_id = r.id
    WHERE r.id BETWEEN 910001 AND 910003 GROUP BY r.id ORDER BY r.id;

-- one row, many rows of several rooms
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-ann', 'first');
INSERT INTO rt.messages (room_id, sender_id, content) VALUES
    (910001, 'ev-ann', 'second'), (910002, 'ev-bob', 'other room'), (910001, 'ev-bob', 'third'), (910002, 'ev-ann', 'and again')
    RETURNING room_id - 910000 AS room, seq;
SELECT * FROM logged();

-- what a client gets; times apart
SELECT jsonb_pretty((rt_private.message_json(m)::jsonb - '{createdAt,timestamp}'::text[])) AS message
    FROM rt.messages m WHERE room_id = 910001 AND seq = 3;
SELECT array_agg(k ORDER BY n) AS keys FROM rt.messages m,
    json_object_keys(rt_private.message_json(m)) WITH ORDINALITY AS t (k, n) WHERE room_id = 910001 AND seq = 3;
SELECT (j ->> 'createdAt') ~ '^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$' AS iso,
    (j ->> 'createdAt')::timestamptz = date_trunc('milliseconds', created_at) AS same_time
    FROM (SELECT rt_private.message_json(m) AS j, m.created_at FROM rt.messages m WHERE room_id = 910001 AND seq = 3) t;

-- a transaction that rolls back leaves nothing, and its numbers are given again
BEGIN;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-ann', 'never said');
ROLLBACK;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-ann', 'fourth');
SELECT * FROM logged();

-- savepoints
BEGIN;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-ann', 'fifth');
SAVEPOINT a;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-ann', 'taken back'), (910002, 'ev-ann', 'taken back');
SAVEPOINT b;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910003, 'ev-ann', 'taken back');
RELEASE b;
ROLLBACK TO a;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-ann', 'sixth');
RELEASE a;
SAVEPOINT c;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-ann', 'seventh');
RELEASE c;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910002, 'ev-ann', 'third of two');
COMMIT;
SELECT * FROM logged();

-- exceptions in PL/pgSQL, also of a statement half done
DO $$
BEGIN
    FOR i IN 8 .. 9 LOOP
        BEGIN
            INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-ann', 'number ' || i);
            INSERT INTO rt.messages (room_id, sender_id, content)
                SELECT 910001, CASE WHEN n = 3 THEN 'nobody' ELSE 'ev-ann' END, 'lost' FROM generate_series(1, 3) n;
        EXCEPTION WHEN foreign_key_violation THEN
            INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-bob', 'instead of ' || i);
        END;
    END LOOP;
END
$$;
SELECT * FROM logged();

-- ON CONFLICT DO NOTHING: rows that do not come in take no number
INSERT INTO rt.messages (room_id, sender_id, content, client_id) VALUES (910003, 'ev-ann', 'one', 'c1');
INSERT INTO rt.messages (room_id, sender_id, content, client_id)
    VALUES (910003, 'ev-ann', 'twice', 'c1'), (910003, 'ev-ann', 'two', 'c2'), (910003, 'ev-ann', 'twice', 'c2'),
           (910001, 'ev-ann', 'tenth', 'c1'), (910003, 'ev-bob', 'three', 'c1'), (910003, 'ev-ann', 'twice', 'c1')
    ON CONFLICT (room_id, sender_id, client_id) WHERE client_id IS NOT NULL DO NOTHING
    RETURNING room_id - 910000 AS room, seq, content;
INSERT INTO rt.messages (room_id, sender_id, content, client_id) VALUES (910003, 'ev-ann', 'twice', 'c1')
    ON CONFLICT (room_id, sender_id, client_id) WHERE client_id IS NOT NULL DO NOTHING;
SELECT * FROM logged();
SELECT * FROM numbers;

-- COPY
COPY rt.messages (room_id, sender_id, content, metadata) FROM STDIN;
910003	ev-ann	copied	\N
910002	ev-ann	copied	{"a": [1, {"b": null}]}
910003	ev-bob	copied\ttoo	\N
\.
SELECT * FROM logged();

-- a trigger of the DBA's that answers, one that turns rows down, and a function in the query that writes
CREATE FUNCTION answer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.content LIKE '%?' THEN
        INSERT INTO rt.messages (room_id, sender_id, content) VALUES (NEW.room_id, 'ev-bob', 'yes: ' || rtrim(NEW.content, '?'));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER answer AFTER INSERT ON rt.messages FOR EACH ROW EXECUTE FUNCTION answer();
CREATE FUNCTION turn_down() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN NEW.content = 'spam' THEN NULL ELSE NEW END;
END
$$;
CREATE TRIGGER turn_down BEFORE INSERT ON rt.messages FOR EACH ROW EXECUTE FUNCTION turn_down();
INSERT INTO rt.messages (room_id, sender_id, content)
    VALUES (910003, 'ev-ann', 'q1?'), (910003, 'ev-ann', 'spam'), (910003, 'ev-ann', 'q2?'), (910003, 'ev-ann', 'spam');
CREATE FUNCTION remark(n int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF n % 2 = 0 THEN
        INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910003, 'ev-bob', 'remark ' || n);
    END IF;
    RETURN 'with ' || n;
END
$$;
INSERT INTO rt.messages (room_id, sender_id, content) SELECT 910003, 'ev-ann', remark(n) FROM generate_series(1, 4) n;
SELECT * FROM logged();
DROP TRIGGER answer ON rt.messages;
DROP TRIGGER turn_down ON rt.messages;
SELECT * FROM numbers;

-- two statements in one
WITH one AS (INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910002, 'ev-ann', 'from with') RETURNING seq)
INSERT INTO rt.messages (room_id, sender_id, content) SELECT 910002, 'ev-ann', 'after ' || seq FROM one;
SELECT * FROM logged();

-- a large transaction: its messages go as ranges, and come out whole
BEGIN;
INSERT INTO rt.messages (room_id, sender_id, content)
    SELECT 910001 + n % 2, 'ev-ann', repeat('x', 1000) FROM generate_series(1, 3000) n;
SAVEPOINT s;
INSERT INTO rt.messages (room_id, sender_id, content) SELECT 910001, 'ev-ann', 'taken back' FROM generate_series(1, 1000) n;
ROLLBACK TO s;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-bob', 'the end');
COMMIT;
SELECT room, count(*), min(seq), max(seq), count(DISTINCT seq), bool_and(rising) AS in_order, min(content) = repeat('x', 1000) AS content
    FROM (SELECT l.*, l.seq > lag(l.seq, 1, 0::bigint) OVER (PARTITION BY l.room ORDER BY l.n) AS rising
          FROM (SELECT t.*, row_number() OVER () AS n FROM logged() t) l) l
    WHERE content <> 'the end' GROUP BY room ORDER BY room;
SELECT * FROM numbers;

-- numbers that are brought along: up to last_seq, and no event
SET rt.suppress_events = on;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910002, 'ev-ann', 'quiet');
RESET rt.suppress_events;
INSERT INTO rt.messages (room_id, sender_id, content, seq) VALUES (910003, 'ev-ann', 'too high', 99);
UPDATE rt.rooms SET last_seq = 100 WHERE id = 910003;
INSERT INTO rt.messages (room_id, sender_id, content, seq) VALUES (910003, 'ev-ann', 'restored', 100), (910003, 'ev-ann', 'restored', 99);
INSERT INTO rt.messages (room_id, sender_id, content, seq) VALUES (910003, 'ev-ann', 'restored', 98), (910003, 'ev-ann', 'said', NULL);
SELECT * FROM logged();

-- replication brings the publisher's numbers
SET session_replication_role = replica;
INSERT INTO rt.messages (room_id, sender_id, content, seq, created_at) VALUES (910003, 'ev-ann', 'replicated', 97, now());
RESET session_replication_role;
SELECT * FROM logged();

-- two-phase commit
BEGIN;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-ann', 'prepared');
PREPARE TRANSACTION 'rt events';
BEGIN;
SET LOCAL rt.suppress_events = on;
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-ann', 'prepared');
ROLLBACK;
SELECT * FROM numbers;

-- refusals
\set VERBOSITY sqlstate
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (1234567890123, 'ev-ann', 'no room');
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-ann', '');
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (910001, 'ev-ann', repeat('x', 70000));
INSERT INTO rt.messages (room_id, sender_id, content, metadata) VALUES (910001, 'ev-ann', 'x', jsonb_build_object('a', repeat('x', 65536)));
INSERT INTO rt.messages (room_id, sender_id, content) VALUES (NULL, 'ev-ann', 'x');
SELECT rt_private.emit('bad name', '{}', '{}');
SELECT rt_private.emit('', '{}', '{}');
SELECT rt_private.emit(repeat('x', 65), '{}', '{}');
SELECT rt_private.emit('x', '[]', '{}');
SELECT rt_private.emit('x', '{}', '"text"');
SELECT rt_private.emit('x', NULL, '{}');
\set VERBOSITY terse
INSERT INTO rt.messages (room_id, sender_id, metadata) VALUES (910001, 'ev-ann', '{"only": "metadata"}') RETURNING content;
SELECT * FROM logged();

-- events of one's own; soft ones are not logged
SELECT rt_private.emit('an:event', '{"room":"910001"}', ' { "a" : 1 }', true, 910001),
    rt_private.emit('soft', '{"room":"910001"}', '{"a":1}', false, 910001),
    rt_private.emit('empty', '{"room":"910001"}', '{ }', true, 910001, 5);
SELECT relay_done();
SELECT regexp_replace(rt_private.event_text(e), '"offset":"\d+"', '"offset":"N"') AS text FROM rt.events e
    WHERE pos > (SELECT max(pos) FROM seen) ORDER BY pos;

-- what gateways read: pages without a gap, of at most so many events and bytes
SELECT json_array_length(p -> 'events') AS events, (p ->> 'last')::bigint = (SELECT max(pos) FROM rt.events) AS last,
    (p ->> 'first')::bigint = (SELECT min(pos) FROM rt.events) AS first
    FROM (SELECT rt_api.events_since(NULL, '{"pos": "0", "limit": 7}') AS p) t;
SELECT json_array_length(rt_api.events_since(NULL, '{"pos": "0", "bytes": 1}') -> 'events') AS events;
SELECT json_array_length(rt_api.events_since(NULL, jsonb_build_object('pos', (SELECT max(pos)::text FROM rt.events))) -> 'events') AS events;
SELECT count(*) = max(pos) - min(pos) + 1 AS gapless FROM rt.events;
SELECT lost - :before_lost AS lost, notify_failures FROM rt.stat_relay;

-- a message that has gone keeps its place in the log
UPDATE rt.messages SET deleted_at = now(), content = '' WHERE room_id = 910001 AND seq = 1;
SELECT rt_private.message_json(m) ->> 'content' AS content FROM rt.messages m WHERE room_id = 910001 AND seq = 1;
DELETE FROM rt.rooms WHERE id BETWEEN 910001 AND 910003;
SELECT relay_done();
SELECT (rt_private.event_text(e)::json ->> 'event'), count(*) FROM rt.events e
    WHERE pos > (SELECT min(pos) FROM seen) AND room_id BETWEEN 910001 AND 910003 AND event = 'new-chat-message'
    GROUP BY 1;

DROP VIEW numbers;
DROP FUNCTION logged(), relay_done(), answer(), turn_down(), remark(int);
DROP TABLE seen;
DELETE FROM rt.users WHERE id LIKE 'ev-%';
