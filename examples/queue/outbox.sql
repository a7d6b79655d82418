-- An outbox: each message of some rooms becomes a job in the same transaction, so that none is lost and none is made up.
CREATE SCHEMA jobs;
CREATE TABLE jobs.outbox (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	room_id bigint NOT NULL,
	seq bigint NOT NULL,
	payload jsonb NOT NULL,
	tries integer NOT NULL DEFAULT 0,
	due_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX ON jobs.outbox (due_at, id);
-- Rooms whose messages are wanted.
CREATE TABLE jobs.rooms (room_id bigint PRIMARY KEY REFERENCES rt.rooms ON DELETE CASCADE);

CREATE FUNCTION jobs.add() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO jobs.outbox (room_id, seq, payload)
	SELECT NEW.room_id, NEW.seq, jsonb_build_object('sender', NEW.sender_id, 'content', NEW.content, 'metadata', NEW.metadata)
	FROM jobs.rooms AS r WHERE r.room_id = NEW.room_id;
	IF FOUND THEN
		NOTIFY jobs;
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER add_job AFTER INSERT ON rt.messages FOR EACH ROW EXECUTE FUNCTION jobs.add();
