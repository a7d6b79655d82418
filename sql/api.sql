-- The functions that the gateways call: each refusal with its code.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;
SELECT rt.create_user('a-ann', 'Ann', 'secret'), rt.create_user('a-bob', 'Bob', 'secret'), rt.create_user('a-eve', 'Eve');

-- logging in
SELECT r ->> 'status' AS status, r -> 'user' AS who, rt.verify_token(r ->> 'token') AS subject, (r ->> 'expiresAt')::timestamptz > now() AS later
FROM rt_api.auth(NULL, '{"username": "A-ANN", "password": "secret"}') r;
SELECT rt_api.auth(NULL, '{"username": "a-ann", "password": "wrong"}');
SELECT rt_api.auth(NULL, '{"username": "nobody", "password": "secret"}');
SELECT rt_api.auth(NULL, '{"username": "a-eve", "password": ""}');
SELECT rt_api.auth(NULL, '{"username": 7}');
SELECT r -> 'user' ->> 'id' FROM rt_api.auth_refresh('a-ann', (SELECT jsonb_build_object('session', s.id) FROM rt.sessions s WHERE s.user_id = 'a-ann' ORDER BY s.created_at LIMIT 1)) r;
SELECT rt_api.auth_refresh('nobody', '{}');

-- rooms
SELECT (rt_api.room_create('a-ann', '{"kind": "group", "name": " Team ", "memberIds": ["a-bob"]}') -> 'data' ->> 'id')::bigint AS room \gset
SELECT r -> 'data' ->> 'name' AS name, r -> 'data' -> 'memberCount' AS members, r -> 'data' ->> 'role' AS role FROM rt_api.room_get('a-ann', jsonb_build_object('roomId', :room)) r;
SELECT a ->> 'status' AS first, b ->> 'status' AS again, a -> 'data' ->> 'id' = b -> 'data' ->> 'id' AS same
FROM rt_api.room_create('a-ann', '{"kind": "direct", "memberIds": ["a-bob"]}') a, rt_api.room_create('a-bob', '{"kind": "direct", "memberIds": ["a-ann"]}') b;
SELECT rt_api.room_create('a-ann', '{"kind": "party", "name": "x"}');
SELECT rt_api.room_create('a-ann', '{"kind": "group"}');
SELECT rt_api.room_create('a-ann', '{"kind": "group", "name": "x", "memberIds": "a-bob"}');
SELECT rt_api.room_create('a-ann', '{"kind": "group", "name": "x", "memberIds": ["nobody"]}');
SELECT rt_api.room_create('a-ann', '{"kind": "direct", "memberIds": ["a-ann"]}');
SELECT rt_api.room_get('a-eve', jsonb_build_object('roomId', :room));
SELECT rt_api.room_get('a-ann', '{"roomId": "999999999999"}');
SELECT rt_api.room_get('a-ann', '{"roomId": "1 OR 1=1"}');
SELECT rt_api.room_get('a-ann', '{"roomId": 1e30}');
SELECT rt_api.room_get('a-ann', '{"roomId": ["1"]}');
SELECT rt_api.room_get('a-ann', '{}');
SELECT rt_api.room_update('a-bob', jsonb_build_object('roomId', :room, 'name', 'x'));
SELECT r -> 'data' ->> 'name' FROM rt_api.room_update('a-ann', jsonb_build_object('roomId', :room, 'name', 'Renamed')) r;
SELECT rt_api.room_update('a-ann', jsonb_build_object('roomId', :room, 'name', 7));
SELECT rt_api.room_delete('a-bob', jsonb_build_object('roomId', :room));
SELECT rt_api.members_add('a-bob', jsonb_build_object('roomId', :room, 'userIds', '["a-eve"]'::jsonb));
SELECT rt_api.members_add('a-ann', jsonb_build_object('roomId', :room, 'userIds', '["nobody"]'::jsonb));
SELECT r ->> 'count' FROM rt_api.members_add('a-ann', jsonb_build_object('roomId', :room, 'userIds', '["a-eve", "a-eve"]'::jsonb)) r;
SELECT rt_api.member_remove('a-bob', jsonb_build_object('roomId', :room, 'userId', 'a-eve'));
SELECT r ->> 'status' FROM rt_api.member_remove('a-eve', jsonb_build_object('roomId', :room, 'userId', 'a-eve')) r;
SELECT rt_api.member_remove('a-ann', jsonb_build_object('roomId', :room, 'userId', 'a-eve'));

-- messages
SELECT r ->> 'status' AS status, r -> 'data' ->> 'seq' AS seq, r -> 'data' ->> 'userName' AS name FROM rt_api.message_send('a-ann', jsonb_build_object('roomId', :room, 'content', 'one', 'clientId', 'k')) r;
SELECT r ->> 'status' AS status, r -> 'data' ->> 'seq' AS seq FROM rt_api.message_send('a-ann', jsonb_build_object('roomId', :room, 'content', 'two', 'clientId', 'k')) r;
SELECT rt_api.message_send('a-eve', jsonb_build_object('roomId', :room, 'content', 'x'));
SELECT rt_api.message_send('a-ann', jsonb_build_object('roomId', :room, 'content', 7));
SELECT rt_api.message_send('a-ann', jsonb_build_object('roomId', :room, 'content', ''));
SELECT rt_api.message_send('a-ann', jsonb_build_object('roomId', :room, 'content', repeat('x', 70000)));
SELECT rt_api.message_send('a-ann', jsonb_build_object('roomId', :room, 'content', 'x', 'metadata', '[]'::jsonb));
SELECT rt_api.message_send('a-ann', jsonb_build_object('roomId', :room, 'content', 'x', 'replyTo', '1'));
SELECT rt_api.message_send('a-ann', jsonb_build_object('roomId', :room, 'content', 'x', 'replyTo', :'room' || '-99'));
SELECT x ->> 'status' AS status, x -> 'data' ->> 'seq' AS seq, x -> 'error' ->> 'code' AS code
FROM json_array_elements(rt_api.message_send_batch(NULL, jsonb_build_object('roomId', :room, 'requests', jsonb_build_array(
    jsonb_build_object('actor', 'a-ann', 'req', '{"content": "two"}'::jsonb),
    jsonb_build_object('actor', 'a-eve', 'req', '{"content": "stranger"}'::jsonb),
    jsonb_build_object('actor', 'a-bob', 'req', '{"content": "three", "clientId": "b"}'::jsonb),
    jsonb_build_object('actor', 'a-bob', 'req', '{"content": "three", "clientId": "b"}'::jsonb),
    jsonb_build_object('actor', 'a-bob', 'req', '"text"'::jsonb),
    jsonb_build_object('actor', 'a-ann', 'req', '{"content": "old", "clientId": "k"}'::jsonb),
    jsonb_build_object('actor', 'a-ann', 'req', '{"content": "four"}'::jsonb),
    jsonb_build_object('actor', 'a-ann', 'req', '{"content": "five"}'::jsonb)))) -> 'results') WITH ORDINALITY AS t (x, n) ORDER BY n;
-- the answer has what the event has; a number as clientId, the limits of texts, and answers to messages of the room alone
SELECT r -> 'data' AS answer FROM rt_api.message_send('a-ann', jsonb_build_object('roomId', :'room', 'content', E'"\\\n\u00e4', 'clientId', 17, 'metadata', '{"a": [1]}'::jsonb, 'replyTo', :'room' || '-1')) r \gset
SELECT rt_private.message_json(m)::text = :'answer' AS same, m.content, m.metadata, m.reply_to, m.client_id FROM rt.messages AS m WHERE m.room_id = :room AND m.seq = 6;
SELECT x ->> 'status' AS status, x -> 'data' ->> 'seq' AS seq, x -> 'error' ->> 'code' AS code, x -> 'error' ->> 'message' AS message
FROM json_array_elements(rt_api.message_send_batch(NULL, jsonb_build_object('roomId', :room, 'requests', jsonb_build_array(
    jsonb_build_object('actor', 'a-ann', 'req', '{"content": "again", "clientId": "17"}'::jsonb),
    jsonb_build_object('actor', 'a-bob', 'req', '{"content": "mine", "clientId": "17"}'::jsonb),
    jsonb_build_object('actor', 'a-bob', 'req', jsonb_build_object('content', 'x', 'messageType', repeat('t', 65))),
    jsonb_build_object('actor', 'a-bob', 'req', jsonb_build_object('content', 'x', 'clientId', repeat('c', 129))),
    jsonb_build_object('actor', 'a-bob', 'req', jsonb_build_object('content', 'x', 'clientId', true)),
    jsonb_build_object('actor', 'a-bob', 'req', jsonb_build_object('content', 'x', 'replyTo', '1-1-1')),
    jsonb_build_object('actor', 'a-bob', 'req', jsonb_build_object('content', 'x', 'replyTo', '999999999999-1')),
    jsonb_build_object('actor', 'a-bob', 'req', jsonb_build_object('content', 'x', 'replyTo', :'room' || '-99')),
    jsonb_build_object('actor', 'a-bob', 'req', jsonb_build_object('content', repeat('x', 70000))),
    jsonb_build_object('actor', 'a-bob', 'req', '{"metadata": {"only": true}, "content": null, "messageType": null}'::jsonb),
    jsonb_build_object('req', '{"content": "nobody"}'::jsonb), '7'::jsonb))) -> 'results') WITH ORDINALITY AS t (x, n) ORDER BY n;
SELECT rt_api.message_send_batch(NULL, jsonb_build_object('roomId', :room, 'requests', '[]'::jsonb));
SELECT rt_api.message_send_batch(NULL, jsonb_build_object('roomId', :room, 'requests', '{}'::jsonb));
SELECT rt_api.message_send_batch(NULL, '{"requests": []}');
SELECT rt_api.message_send('a-ann', '{"roomId": "x", "content": "x"}');
-- an application's trigger leaves one out, and makes another one somebody else's
CREATE FUNCTION pg_temp.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.content = 'left out' THEN RETURN NULL; END IF;
    IF NEW.content = 'made over' THEN NEW.sender_id := 'a-ann'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER meddle BEFORE INSERT ON rt.messages FOR EACH ROW EXECUTE FUNCTION pg_temp.meddle();
BEGIN;
SELECT x ->> 'status' AS status, x -> 'data' ->> 'senderId' AS sender, x -> 'data' ->> 'content' AS content
FROM json_array_elements(rt_api.message_send_batch(NULL, jsonb_build_object('roomId', :room, 'requests', jsonb_build_array(
    jsonb_build_object('actor', 'a-bob', 'req', '{"content": "made over"}'::jsonb),
    jsonb_build_object('actor', 'a-bob', 'req', '{"content": "as it is"}'::jsonb)))) -> 'results') WITH ORDINALITY AS t (x, n) ORDER BY n;
SELECT x ->> 'status' AS status, x -> 'data' ->> 'senderId' AS sender, x -> 'data' ->> 'content' AS content
FROM json_array_elements(rt_api.message_send_batch(NULL, jsonb_build_object('roomId', :room, 'requests', jsonb_build_array(
    jsonb_build_object('actor', 'a-ann', 'req', '{"content": "left out"}'::jsonb),
    jsonb_build_object('actor', 'a-bob', 'req', '{"content": "as it is"}'::jsonb)))) -> 'results') WITH ORDINALITY AS t (x, n) ORDER BY n;
SET LOCAL rt.suppress_events = on;
SELECT r ->> 'status' AS status, r -> 'data' ->> 'content' AS content FROM rt_api.message_send('a-ann', jsonb_build_object('roomId', :room, 'content', 'in silence')) r;
ROLLBACK;
DROP TRIGGER meddle ON rt.messages;
DELETE FROM rt.messages WHERE room_id = :room AND seq > 5;
UPDATE rt.rooms SET last_seq = 5 WHERE id = :room;
DELETE FROM rt.deleted_messages WHERE room_id = :room;
SELECT seq, sender_id, content FROM rt.messages WHERE room_id = :room ORDER BY seq;
SELECT rt_api.message_edit('a-bob', jsonb_build_object('roomId', :room, 'messageId', :'room' || '-1', 'content', 'x'));
SELECT r -> 'data' ->> 'content' FROM rt_api.message_edit('a-ann', jsonb_build_object('roomId', :room, 'messageId', :'room' || '-1', 'content', 'ONE')) r;
SELECT rt_api.message_edit('a-ann', jsonb_build_object('roomId', :room, 'messageId', :'room' || '-99', 'content', 'x'));
SELECT rt_api.message_edit('a-ann', jsonb_build_object('roomId', :room, 'messageId', 'x', 'content', 'x'));
SELECT rt_api.message_delete('a-bob', jsonb_build_object('roomId', :room, 'messageId', :'room' || '-1'));
SELECT r ->> 'status', r -> 'data' ->> 'content' FROM rt_api.message_delete('a-ann', jsonb_build_object('roomId', :room, 'messageId', :'room' || '-3')) r; -- an admin
SELECT r ->> 'status' FROM rt_api.message_delete('a-ann', jsonb_build_object('roomId', :room, 'messageId', :'room' || '-3')) r;
SELECT rt_api.message_edit('a-bob', jsonb_build_object('roomId', :room, 'messageId', :'room' || '-3', 'content', 'x'));
SELECT rt_api.reaction_add('a-bob', jsonb_build_object('roomId', :room, 'messageId', :'room' || '-3', 'emoji', 'x'));

-- history
SELECT (SELECT string_agg(m ->> 'seq', ',') FROM json_array_elements(r -> 'data') m) AS page, r ->> 'hasMore' AS more
FROM (VALUES (1, '{}'::jsonb), (2, '{"limit": "2"}'), (3, '{"limit": 2, "beforeSeq": 4}'), (4, '{"limit": 2, "afterSeq": "1"}'), (5, '{"afterSeq": 3}'), (6, '{"afterSeq": 1, "beforeSeq": 4}')) AS q (n, req),
    LATERAL rt_api.message_list('a-ann', req || jsonb_build_object('roomId', :room)) r ORDER BY n;
SELECT rt_api.message_list('a-ann', jsonb_build_object('roomId', :room, 'limit', 0));
SELECT rt_api.message_list('a-ann', jsonb_build_object('roomId', :room, 'limit', -5));
SELECT rt_api.message_list('a-ann', jsonb_build_object('roomId', :room, 'beforeSeq', 'x'));
SELECT x ->> 'lastSeq' AS last, x ->> 'hasMore' AS more, json_array_length(x -> 'messages') AS n
FROM json_array_elements(rt_api.sync_rooms('a-ann', jsonb_build_object('rooms', jsonb_build_array(jsonb_build_object('roomId', :room, 'afterSeq', 3)), 'limit', 1)) -> 'rooms') x;
SELECT rt_api.sync_rooms('a-eve', jsonb_build_object('rooms', jsonb_build_array(jsonb_build_object('roomId', :room, 'afterSeq', 3)))) #>> '{rooms,0,error,code}' AS refused;
SELECT rt_api.sync_rooms('a-ann', '{"rooms": [7]}');
SELECT rt_api.sync_rooms('a-ann', '{}');
SELECT m ->> 'content' FROM json_array_elements(rt_api.search('a-bob', '{"q": "FIV"}') -> 'data') m;
SELECT json_array_length(rt_api.search('a-eve', '{"q": "four"}') -> 'data') AS strangers;
SELECT rt_api.search('a-bob', '{"q": ""}');

-- receipts and unread
SELECT r ->> 'unreadCount' AS unread FROM json_array_elements(rt_api.rooms_list('a-bob', '{}') -> 'data') r WHERE r ->> 'name' = 'Renamed';
SELECT rt_api.mark_seen('a-bob', jsonb_build_object('roomId', :room, 'messageIds', jsonb_build_array(:'room' || '-1', :'room' || '-2'))) ->> 'success' AS ok;
SELECT rt_api.mark_seen('a-bob', jsonb_build_object('roomId', :room, 'messageIds', jsonb_build_array(:'room' || '-1', '987654321-1')));
SELECT rt_api.mark_seen('a-bob', jsonb_build_object('roomId', :room, 'messageIds', jsonb_build_array('x')));
SELECT rt_api.mark_seen('a-eve', jsonb_build_object('roomId', :room, 'messageIds', '[]'::jsonb));
SELECT r ->> 'unreadCount' AS unread, r ->> 'lastReadSeq' AS last_read FROM json_array_elements(rt_api.rooms_list('a-bob', '{}') -> 'data') r WHERE r ->> 'name' = 'Renamed';
SELECT x ->> 'userId' AS who, x ->> 'seenAt' IS NOT NULL AS seen FROM json_array_elements(rt_api.receipts('a-ann', jsonb_build_object('roomId', :room, 'messageId', :'room' || '-1')) -> 'data') x;

-- sockets
SELECT x ->> 'ok' AS ok, x ->> 'message' AS message, x ->> 'recovered' AS recovered, json_array_length(x -> 'rooms') AS rooms
FROM json_array_elements(rt_api.connect(NULL, '{"requests": [{"user": "a-ann", "sid": "a-s1", "gateway": "a-gw", "transport": "websocket"}, {"user": "nobody", "sid": "a-s2", "gateway": "a-gw"}]}') -> 'results') WITH ORDINALITY AS t (x, n) ORDER BY n;
SELECT r ->> 'success' AS ok, json_array_length(r -> 'rooms') AS rooms, r -> 'failed' -> 0 -> 'error' ->> 'code' AS failed, r -> 'error' ->> 'code' AS error
FROM rt_api.join_rooms('a-ann', jsonb_build_object('sid', 'a-s1', 'roomIds', jsonb_build_array(:'room', :'room', '999999999999'))) r;
SELECT rt_api.join_rooms('a-ann', '{"sid": "a-s1", "roomIds": ["x"]}');
SELECT rt_api.join_rooms('a-ann', '{"sid": "a-s1"}');
SELECT joined = ARRAY[:room]::bigint[] AS kept FROM rt_private.sessions WHERE sid = 'a-s1';
SELECT status FROM rt.presence WHERE user_id = 'a-ann';
SELECT u ->> 'userId' AS who, u ->> 'status' AS status FROM json_array_elements(rt_api.online_users('a-bob', jsonb_build_object('roomId', :room)) -> 'users') u;
SELECT rt_api.set_status('a-ann', '{"status": "offline"}');
SELECT rt_api.set_status('a-ann', '{"status": "away"}') ->> 'status' AS status;
SELECT rt_api.typing('a-eve', jsonb_build_object('sid', 'x', 'roomId', :room, 'isTyping', true));
SELECT rt_api.typing('a-ann', jsonb_build_object('sid', 'x', 'roomId', :room, 'isTyping', 'yes'));
-- the session goes on where it was, for its own user and from a position that the log reaches
SELECT x ->> 'recovered' AS recovered, x ->> 'sid' AS sid, json_array_length(x -> 'joined') AS joined
FROM rt_private.sessions s, LATERAL json_array_elements(rt_api.connect(NULL, jsonb_build_object('requests', jsonb_build_array(
    jsonb_build_object('user', 'a-ann', 'sid', 'a-s3', 'gateway', 'a-gw', 'pid', s.pid, 'offset', (SELECT max(pos) FROM rt.events)::text),
    jsonb_build_object('user', 'a-bob', 'sid', 'a-s4', 'gateway', 'a-gw', 'pid', s.pid, 'offset', (SELECT max(pos) FROM rt.events)::text),
    jsonb_build_object('user', 'a-ann', 'sid', 'a-s5', 'gateway', 'a-gw', 'pid', s.pid, 'offset', '999999999999')))) -> 'results') WITH ORDINALITY AS t (x, n)
WHERE s.sid = 'a-s1' ORDER BY n;
SELECT rt_api.disconnect(NULL, '{"gateway": "a-gw", "connections": [{"sid": "a-s1", "user": "a-ann", "recoverable": true}, {"sid": "a-s4", "user": "a-bob", "recoverable": false}, {"sid": "a-s5", "user": "a-ann", "recoverable": false}]}');
SELECT rt_api.presence_sweep(NULL, '{"gateway": "a-gw", "users": ["a-ann", "a-bob"]}');
SELECT user_id, status FROM rt.presence WHERE user_id LIKE 'a-%' ORDER BY 1;
SELECT sid FROM rt_private.sessions WHERE user_id LIKE 'a-%' ORDER BY 1;
-- what does not fit is not looked at, however often it is asked for
INSERT INTO rt.messages (room_id, sender_id, metadata)
SELECT :room, 'a-ann', jsonb_build_object('a', repeat('long', 10000)) FROM generate_series(1, 300);
SET statement_timeout = '60s';
SELECT json_array_length(r -> 'rooms') AS rooms, r -> 'rooms' -> 0 ->> 'hasMore' AS first_has_more, r -> 'rooms' -> -1 ->> 'hasMore' AS last_has_more
FROM rt_api.sync_rooms('a-ann', jsonb_build_object('rooms', (SELECT jsonb_agg(jsonb_build_object('roomId', :room, 'afterSeq', 0)) FROM generate_series(1, 1000)))) r;
RESET statement_timeout;
DELETE FROM rt_private.sessions WHERE user_id LIKE 'a-%';
DELETE FROM rt.rooms WHERE created_by LIKE 'a-%';
DELETE FROM rt.users WHERE id LIKE 'a-%';
