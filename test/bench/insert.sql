-- What INSERT with rt is compared with.

-- The same columns, keys and foreign keys, without triggers; something must number the rows.
CREATE SCHEMA plain;
CREATE SEQUENCE plain.seq CACHE 100;
CREATE TABLE plain.rooms (LIKE rt.rooms INCLUDING ALL);
INSERT INTO plain.rooms OVERRIDING SYSTEM VALUE SELECT * FROM rt.rooms;
CREATE TABLE plain.messages (LIKE rt.messages INCLUDING ALL);
ALTER TABLE plain.messages ALTER seq SET DEFAULT nextval('plain.seq'), ALTER created_at SET DEFAULT clock_timestamp();

DO $$
DECLARE
	definition text;
BEGIN
	FOR definition IN
		SELECT pg_get_constraintdef(c.oid) FROM pg_constraint AS c WHERE c.conrelid = 'rt.messages'::regclass AND c.contype = 'f'
	LOOP
		EXECUTE 'ALTER TABLE plain.messages ADD ' || regexp_replace(definition, 'REFERENCES rt\.(rooms|messages)', 'REFERENCES plain.\1');
	END LOOP;
END
$$;

-- The same triggers, but the event leaves by pg_notify in the writer's transaction.
CREATE FUNCTION plain.notify_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_notify('bench', rt_private.message_json(NEW)::text);
	RETURN NULL;
END
$$;
CREATE TRIGGER bench_notify AFTER INSERT ON rt.messages FOR EACH ROW EXECUTE FUNCTION plain.notify_message();
ALTER TABLE rt.messages DISABLE TRIGGER bench_notify;
