-- Whom a message mentions: a table of texts, each with the usernames that it mentions.
\set VERBOSITY sqlstate
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS rt CASCADE;

SELECT count(rt.create_user('n-' || n, u, username => u)) FROM unnest(ARRAY['sender', 'bob', 'bob.smith', 'o''neil', 'José', '李明', 'мария', 'ann-lee',
	'b_c', '田中', 'นารี', 'Σοφός', 'c++', 'bob_']) WITH ORDINALITY AS t (u, n);
SELECT rt.create_room('Mentions', array_agg(id ORDER BY length(id), id)) AS room FROM rt.users WHERE id LIKE 'n-%' \gset
SELECT rt.create_user('n-out', 'Outsider', username => 'outsider') AS outsider;

CREATE TEMP TABLE cases (n serial, content text, expected text);
INSERT INTO cases (content, expected) VALUES
	-- where it may begin
	('@bob', 'bob'), ('hello @bob', 'bob'), ('(@bob)', 'bob'), ('**@bob**', 'bob'), ('“@bob”', 'bob'), ('>@bob', 'bob'),
	('a@bob', ''), ('1@bob', ''), ('_@bob', ''), ('/@bob', ''), ('.@bob', ''), ('@@bob', ''), ('é@bob', ''), (E'e\u0301@bob', ''), ('ж@bob', ''),
	('你好@bob', 'bob'), ('안녕@bob', 'bob'), ('さん@bob', 'bob'), ('ไทย@bob', 'bob'), ('٣@bob', ''), ('-@bob', 'bob'), ('~@bob~', 'bob'), ('😀@bob', 'bob'),
	(E'\u00A0@bob', 'bob'), (E'\n@bob', 'bob'), ('\@bob', 'bob'),
	-- what may come behind it
	('@bob.', 'bob'), ('@bob,', 'bob'), ('@bob''s', 'bob'), ('@bob’s', 'bob'), ('@bob。', 'bob'), ('@bob/@x', 'bob'), (E'@bob\u00A0x', 'bob'), ('@bob😀', 'bob'),
	('@bob你好', 'bob'), ('@bobさん', 'bob'), ('@bob님', 'bob'), ('@bobby', ''), ('@bob1', ''), ('@bobé', ''), (E'@bob\u0301', ''), ('@bobж', ''),
	('@bob-x', 'bob'), ('@bob@x', 'bob'), ('@bob:', 'bob'), ('@bob…', 'bob'), ('@bob!', 'bob'),
	-- the longest name
	('@bob.smith', 'bob.smith'), ('@bob.smithy', 'bob'), ('@bob.', 'bob'), ('@bob_', 'bob_'), ('@bob__', 'bob_'), ('@o''neil', 'o''neil'), ('@o''neil''s', 'o''neil'),
	('@ann-lee', 'ann-lee'), ('@ann', ''), ('@b_c', 'b_c'), ('@b', ''), ('@c++', 'c++'), ('@c+', ''),
	-- case and composition
	('@BOB', 'bob'), ('@Bob.Smith', 'bob.smith'), ('@josé', 'José'), (E'@jose\u0301', 'José'), (E'@JOSE\u0301!', 'José'), ('@jose', ''), ('@МАРИЯ', 'мария'), ('@ΣΟΦΌΣ', 'Σοφός'),
	-- scripts that do not divide words
	('@李明你好', '李明'), ('谢谢@李明。', '李明'), ('@李明bob', ''), ('@李', ''), ('@田中さん', '田中'), ('@นารีครับ', 'นารี'),
	-- code and URLs
	('`@bob`', ''), ('`` `@bob` ``', ''), ('`a` @bob `b`', 'bob'), ('`@bob', 'bob'), ('\`@bob\`', 'bob'), (E'```\n@bob\n```', ''), (E'```\n@bob', ''), (E'~~~ sql\n@bob\n~~~\n@o''neil', 'o''neil'),
	(E'```\nx\n```\n@bob', 'bob'), (E'````\n```\n@bob\n````', ''), (E'    @bob', ''), (E'\t@bob', ''), (E'text\n    @bob', 'bob'), (E'text\n\n    @bob', ''), (E'# title\n    @bob', ''), (E'---\n    @bob', ''), (E'* * *\n    @bob', ''), (E'title\n===\n    @bob', ''),
	(E'title\n-\n    @bob', ''), (E'- item\n---\n    @bob', ''), (E'- item\n===\n    @bob', 'bob'), (E'--- x\n    @bob', 'bob'), (E'===\n    @bob', 'bob'), (E'`a\n---\n@bob`', 'bob'),
	(E'- item\n\n    @bob', 'bob'), (E'- item\n\n      @bob', ''), (E'> `@bob`', ''), (E'> ```\n> @bob\n@o''neil', 'o''neil'), (E'`a\n@bob`', ''), (E'`a\n\n@bob`', 'bob'), ('``` @bob ```', ''),
	(E'- ```\n@bob', 'bob'), (E'- ```\n  @bob', ''), (E'- ```\n\n  @bob', ''), (E'- ```\n  x\n\n@bob', 'bob'), (E'- x\n  ```\n  @bob\n  ```\n@o''neil', 'o''neil'), (E'1. ~~~\n   @bob\n- @o''neil', 'o''neil'),
	(E'- x\n```\n@bob\n```', ''), (E'- a\n  - ```\n    @bob\n  @o''neil', 'o''neil'),
	('http://h/@bob', ''), ('https://h/?q=@bob', ''), ('http://h/ @bob', 'bob'), ('<http://h/?@bob>', ''), ('[x](https://h/?a=,@bob)', ''), ('www.example.com/?@bob', ''), ('http://h。@bob', 'bob'),
	('[x](http://h/y)@bob', 'bob'), ('(http://h/y)@bob', 'bob'), ('[www.h.com]@bob', 'bob'), ('http://h/y_(z)?@bob', ''), ('http://[::1]/?@bob', ''),
	('see:// @bob', 'bob'), ('bob@bob.com', ''), ('mailto:@bob', 'bob'),
	-- others
	('@outsider', ''), ('@sender', ''), ('@nobody', ''), ('@', ''), ('@ bob', ''), ('@bob @bob @BOB', 'bob'), ('@bob @o''neil', 'bob o''neil'), ('', '');
CREATE FUNCTION pg_temp.mentioned(content text, metadata jsonb, room bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	m rt.messages;
BEGIN
	m.room_id := room;
	m.sender_id := 'n-1';
	m.content := content;
	m.metadata := metadata;
	RETURN coalesce((SELECT string_agg(u.username, ' ' ORDER BY u.username COLLATE "C") FROM rt_private.mentioned(m) AS x, unnest(x.users) AS i JOIN rt.users AS u ON u.id = i), '');
END
$$;
SELECT count(*) >= 60 AS enough FROM cases;
SELECT n, content, expected, pg_temp.mentioned(content, NULL, :room) AS got FROM cases WHERE pg_temp.mentioned(content, NULL, :room) <> expected ORDER BY n;
SELECT pg_temp.mentioned('x', '{"mentions": ["n-2", "n-out", "n-1", 7]}', :room) AS by_metadata;
-- however many, and however long
SELECT pg_temp.mentioned(repeat('@x ', 20000) || '@bob', NULL, :room) AS beyond_a_hundred;
SELECT pg_temp.mentioned('@' || repeat('x.', 30000), NULL, :room) AS long;

-- ---- all, and who is there -----------------------------------------------------
CREATE FUNCTION pg_temp.everybody(sender text, content text, room bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	m rt.messages;
BEGIN
	m.room_id := room;
	m.sender_id := sender;
	m.content := content;
	RETURN (SELECT x.everybody || ' ' || cardinality(x.users) FROM rt_private.mentioned(m) AS x);
END
$$;
UPDATE rt.rooms SET topic = 'mentions' WHERE id = :room;
INSERT INTO rt.presence (user_id, status) VALUES ('n-1', 'online'), ('n-2', 'away'), ('n-3', 'offline'), ('n-out', 'online');
SELECT c, pg_temp.everybody('n-1', c, :room) AS by_admin, pg_temp.everybody('n-2', c, :room) AS by_member
FROM unnest(ARRAY['@all', '@ALL!', '@all大家', '@allison', '@all_', '@all-hands', '`@all`', '@here', '@here.', '@all @here', '@hereby']) AS c;
UPDATE rt.rooms SET who_may_mention_all = 'members' WHERE id = :room;
SELECT pg_temp.everybody('n-2', '@all', :room) AS by_member;

-- ---- what is stored, and told ----------------------------------------------------
SELECT rt.send_message(:room, 'n-1', 'hello @bob') AS seq \gset
SELECT user_id FROM rt_private.mentions WHERE room_id = :room AND seq = :seq;
UPDATE rt.messages SET content = 'hello @bob and @o''neil' WHERE room_id = :room AND seq = :seq;
SELECT user_id FROM rt_private.mentions WHERE room_id = :room AND seq = :seq ORDER BY 1;
UPDATE rt.messages SET content = 'hello @all' WHERE room_id = :room AND seq = :seq;
SELECT user_id FROM rt_private.mentions WHERE room_id = :room AND seq = :seq ORDER BY 1;
SELECT seq = :seq AS everybody FROM rt_private.mentions_all WHERE room_id = :room;
SELECT u.user_id, u.mentions FROM rt_private.unread AS u WHERE u.room_id = :room AND u.user_id IN ('n-1', 'n-2', 'n-7') ORDER BY 1;
UPDATE rt.messages SET deleted_at = now() WHERE room_id = :room AND seq = :seq;
SELECT count(*) FROM rt_private.mentions_all WHERE room_id = :room;
DELETE FROM rt.rooms WHERE id = :room;
DELETE FROM rt.users WHERE id LIKE 'n-%';
