-- Users whose sockets listen, a room where all of them are, and a thousand rooms to write to.
-- :users is how many.
INSERT INTO rt.users (id, username, name)
SELECT 'bench' || i, 'bench' || i, 'Bench ' || i FROM generate_series(1, :users) AS i;

SELECT rt.create_room('bench ' || i, ARRAY['bench1']) FROM generate_series(1, 1000) AS i;

SELECT rt.create_room('everybody', array_agg('bench' || i)) FROM generate_series(1, :users) AS i;
