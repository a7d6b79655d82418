-- A business application's users become rt's, by a trigger, and stay in step.  Here the application's table is app.employees.
CREATE SCHEMA app;
CREATE TABLE app.employees (
	number integer PRIMARY KEY,
	email text NOT NULL UNIQUE,
	full_name text NOT NULL,
	left_on date
);

-- A user who has left cannot sign in any more, and what they wrote stays.
CREATE FUNCTION app.follow_employee() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
	INSERT INTO rt.users (id, username, name) VALUES (NEW.number::text, NEW.email, NEW.full_name)
	ON CONFLICT (id) DO UPDATE SET username = excluded.username, name = excluded.name;
	IF NEW.left_on <= current_date THEN
		PERFORM rt.revoke_sessions(NEW.number::text);
	END IF;
	RETURN NULL;
END
$$;
CREATE TRIGGER follow_employee AFTER INSERT OR UPDATE ON app.employees FOR EACH ROW EXECUTE FUNCTION app.follow_employee();

-- The role of the application's web server: it hands out tokens, to those who are still there.
CREATE FUNCTION app.chat_token(number integer) RETURNS text LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
	SELECT rt.issue_token(e.number::text, '10 minutes') FROM app.employees AS e
	WHERE e.number = chat_token.number AND (e.left_on IS NULL OR e.left_on > current_date)
$$;
REVOKE ALL ON FUNCTION app.chat_token(integer), app.follow_employee() FROM PUBLIC;
CREATE ROLE app_web LOGIN;
GRANT USAGE ON SCHEMA app TO app_web;
GRANT EXECUTE ON FUNCTION app.chat_token(integer) TO app_web;
