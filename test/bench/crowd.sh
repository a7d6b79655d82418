# Part s: a crowd of idle users, each another one, on several gateway processes.

CROWD_SIZE=${RT_BENCH_CROWD:-100000}
CROWD_GATEWAYS=6
CROWD_ROOM=100
CROWD_IDLE=25
CROWD_AT_A_TIME=1000

crowd_gateways()
{
	sql -c "SELECT string_agg(pid::text, ',') FROM rt.stat_programs WHERE kind = 'gateway' AND state = 'ready'"
}

# crowd_workers COUNT: so many serve afterwards.
crowd_workers()
{
	local deadline=$((SECONDS + 60))
	sql -c "ALTER SYSTEM SET rt.gateway_workers = $1" -c 'SELECT pg_reload_conf()' > /dev/null
	until [ "$(sql -c "SELECT count(*) FROM rt.stat_programs WHERE kind = 'gateway' AND state = 'ready'")" = "$1" ]
	do
		[ $SECONDS -lt $deadline ] || die "$1 gateway processes did not start"
		sleep 0.2
	done
}

make_crowd()
{
	sql <<-END > /dev/null || die 'cannot make the crowd'
	SET rt.suppress_events = on;
	INSERT INTO rt.users (id, username, name) SELECT 'z' || i, 'z' || i, 'Crowd ' || i FROM generate_series(1, $CROWD_SIZE) AS i;
	SELECT rt.create_room('crowd ' || n, (SELECT array_agg('z' || i) FROM generate_series(n * $CROWD_ROOM + 1, (n + 1) * $CROWD_ROOM) AS i))
	FROM generate_series(0, $CROWD_SIZE / $CROWD_ROOM - 1) AS n;
	VACUUM ANALYZE;
	END
	sql -c "SELECT rt.issue_token(id, '1 day') FROM rt.users WHERE id LIKE 'z%'" > "$SCRATCH/tokens.z"
}

bench_s()
{
	local crowd="s $CROWD_SIZE users, $CROWD_GATEWAYS processes:"
	progress "$CROWD_SIZE users"
	crowd_workers "$CROWD_GATEWAYS"
	make_crowd
	swarm crowd z --pids "$(crowd_gateways)" --count "$CROWD_SIZE" --connections "$CROWD_AT_A_TIME" --seconds "$CROWD_IDLE"
	row "$crowd all are there after" "$(figure come_seconds) s" '<= 40 s'
	row "$crowd CPU of the gateways and PostgreSQL each" "$(figure come_gateway_us), $(figure come_postgres_us) us" '-, <= 25 us'
	row "$crowd resident set of the gateways each" "$(calculate 'come_bytes / 1024' '%.2f kB')" '<= 3 kB'
	row "$crowd idle, of a core, gateways and PostgreSQL" "$(figure idle_gateway_percent), $(figure idle_postgres_percent) %" '<= 2 %'
	row "$crowd the network lost, all are back after" "$(figure back_seconds) s"
	row "$crowd the same, CPU of the gateways and PostgreSQL each" "$(figure back_gateway_us), $(figure back_postgres_us) us"
	crowd_workers 1
}
