-- Two tables of the shape of rt.messages, without its triggers and without the search index: one plain, one of 16
-- partitions by room.

CREATE TABLE plain (
	room_id bigint NOT NULL,
	seq bigint NOT NULL CHECK (seq > 0),
	sender_id text,
	content text NOT NULL DEFAULT '',
	message_type text NOT NULL DEFAULT 'text' CHECK (octet_length(message_type) BETWEEN 1 AND 64),
	metadata jsonb CHECK (jsonb_typeof(metadata) = 'object'),
	reply_to bigint,
	client_id text CHECK (octet_length(client_id) BETWEEN 1 AND 128),
	created_at timestamptz NOT NULL,
	edited_at timestamptz,
	deleted_at timestamptz
) WITH (autovacuum_enabled = off);
CREATE TABLE hashed (LIKE plain INCLUDING ALL) PARTITION BY HASH (room_id);
SELECT format('CREATE TABLE hashed_%s PARTITION OF hashed FOR VALUES WITH (MODULUS 16, REMAINDER %s) WITH (autovacuum_enabled = off)', i, i)
FROM generate_series(0, 15) AS i \gexec
CREATE SEQUENCE seqs START 1000000000 CACHE 100;

-- Rows as a chat of 50,000 rooms and 20,000 senders has them one after the other; the first room has 2.7 % of them.  The number
-- is one for all rooms: unique, and rising in each, as theirs is.
CREATE FUNCTION load(target regclass, first bigint, last bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM setseed(first / 1e9);
	EXECUTE format('INSERT INTO %s (room_id, seq, sender_id, content, created_at)
		SELECT 1 + floor(50000 * power(random(), 3)), n, ''user-'' || floor(20000 * random()), md5(n::text) || left(md5((-n)::text), (n %% 57)::int),
			timestamptz ''2020-01-01'' + n * interval ''1 second'' FROM generate_series(%s::bigint, %s) AS n', target, first, last);
END
$$;
