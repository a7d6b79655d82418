\echo Use "ALTER EXTENSION rt UPDATE" to load this file. \quit

-- From 1.1 to 1.2.  Written by extension/upgrade/draft, but for the part that says that it is by hand.

-- The functions below may need what only the library of 1.2 has.  A server that still runs the one before would fail in the
-- midst of this, or later.
LOAD 'MODULE_PATHNAME';
DO $$
BEGIN
	IF pg_catalog.current_setting('rt.version', true) IS DISTINCT FROM '1.2' THEN
		RAISE EXCEPTION 'the server runs another version of rt than 1.2'
			USING ERRCODE = 'object_not_in_prerequisite_state',
				HINT = 'Restart the server after installing rt 1.2, then run ALTER EXTENSION rt UPDATE.';
	END IF;
END
$$;

-- ---- by hand ----------------------------------------------------------------
-- ---- end of what is by hand --------------------------------------------------
