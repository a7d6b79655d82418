# Part r: a second gateway, started with --config as on a host of its own: what it costs PostgreSQL, and what it delivers.

HOSTS_RATE=1000
HOSTS_SECONDS=5
HOSTS_ROOMS=100
HOSTS_SOCKETS=1000
HOSTS_INTERVAL=10ms
SECOND=''

start_second()
{
	local deadline=$((SECONDS + 30))
	SECOND_PORT=$((${RT_URL##*:} + 7))
	[ -n "$(sql -c "SELECT oid FROM pg_roles WHERE rolname = 'second'")" ] || sql -c "CREATE ROLE second LOGIN IN ROLE rt_gateway"
	cat > "$SCRATCH/second.conf" <<-END
	conninfo = 'host=$PGHOST port=$PGPORT dbname=$PGDATABASE user=second'
	name = 'second'
	listen_addresses = '127.0.0.1'
	port = $SECOND_PORT
	END
	"$(pg_config --bindir)/rt_gateway" --config "$SCRATCH/second.conf" 2> "$SCRATCH/second.log" &
	SECOND=$!
	until curl -sf -o /dev/null "http://127.0.0.1:$SECOND_PORT/readyz"
	do
		kill -0 "$SECOND" && [ $SECONDS -lt $deadline ] || die "the second gateway does not serve: $(cat "$SCRATCH/second.log")"
		sleep 0.1
	done
}

stop_second()
{
	kill "$SECOND"
	wait "$SECOND" 2> /dev/null
}

# Processor time of processes, in nanoseconds (Documentation/scheduler/sched-stats.rst).
cpu_ns()
{
	local pid
	for pid in "$@"
	do
		cut -d ' ' -f 1 "/proc/$pid/schedstat" 2> /dev/null
	done | awk '{ n += $1 } END { printf "%.0f", n }'
}

backends()
{
	sql -c "SELECT pid FROM pg_stat_activity WHERE $1"
}

# hosts_round: prints, in microseconds an event, what the relay takes, the backend of a bare LISTEN, the one that LISTENs
# for the second gateway, and its others, which mostly report once per second.  "latency" has the bare one: it reads what it is told, and does nothing else.
hosts_round()
{
	local relay listens others bare generator before=() after=()
	relay=$(backends "backend_type = 'rt relay' AND datname = current_database()")
	listens=$(backends "usename = 'second' AND query ~ '^LISTEN'")
	others=$(backends "usename = 'second' AND query !~ '^LISTEN'")
	"$BUILD/latency" rt.messages rt_events "$FIRST_ROOM" "$HOSTS_ROOMS" "$HOSTS_RATE" "$HOSTS_SECONDS" > "$SCRATCH/figures" &
	generator=$!
	until bare=$(backends "query = 'LISTEN rt_events' AND usename = 'postgres' AND backend_type = 'client backend'") && [ -n "$bare" ]
	do
		kill -0 "$generator" || die 'no figure'
		sleep 0.05
	done
	sleep 1
	# The lists of processes are meant to fall apart.
	# shellcheck disable=SC2086
	before=("$(cpu_ns $relay)" "$(cpu_ns $bare)" "$(cpu_ns $listens)" "$(cpu_ns $others)" "$(date +%s%N)")
	sleep $((HOSTS_SECONDS - 2))
	# shellcheck disable=SC2086
	after=("$(cpu_ns $relay)" "$(cpu_ns $bare)" "$(cpu_ns $listens)" "$(cpu_ns $others)" "$(date +%s%N)")
	wait "$generator" || die 'no figure'
	expect missing 0 'messages did not arrive'
	awk -v relay=$((after[0] - before[0])) -v bare=$((after[1] - before[1])) -v listens=$((after[2] - before[2])) \
		-v others=$((after[3] - before[3])) -v events="$(((after[4] - before[4]) * HOSTS_RATE / 1000000000))" \
		'BEGIN { printf "%.1f %.1f %.1f %.1f\n", relay / events / 1000, bare / events / 1000, listens / events / 1000, others / events / 1000 }'
}

# set_interval VALUE
set_interval()
{
	sql -c "ALTER SYSTEM SET rt.batch_interval = '$1'"
	sql -c 'SELECT pg_reload_conf()' > /dev/null
	sleep 1
}

bench_r()
{
	local round relay bare listens others
	declare -A all=()
	gcc -O2 -Wall -Wextra -Werror -I"$(pg_config --includedir)" -o "$BUILD/latency" "$BENCH/latency.c" -lpq || die 'cannot build latency'
	FIRST_ROOM=$(sql -c "SELECT min(id) FROM rt.rooms WHERE name LIKE 'bench %'")
	for round in $(seq "$ROUNDS")
	do
		progress "a second gateway, round $round"
		read -r relay bare listens others < <(hosts_round) || die 'no figure'
		all[relay_alone]+=" $relay"
		load_gateway fanout --count "$HOSTS_SOCKETS" --mode insert --windows 4 --seconds 3 --nap 100
		all[one]+=" $(figure w4_us_a_delivery)"
		start_second
		read -r relay bare listens others < <(hosts_round) || die 'no figure'
		all[relay]+=" $relay" all[bare]+=" $bare" all[listens]+=" $listens" all[others]+=" $others" all[p50]+=" $(figure p50_us)"
		set_interval "$HOSTS_INTERVAL"
		read -r relay bare listens others < <(hosts_round) || die 'no figure'
		all[relay_slow]+=" $relay" all[listens_slow]+=" $listens" all[p50_slow]+=" $(figure p50_us)"
		set_interval 0
		load_gateway fanout --count $((2 * HOSTS_SOCKETS)) --mode insert --windows 4 --seconds 3 --nap 100 --second-port "$SECOND_PORT" --second-pid "$SECOND"
		all[two]+=" $(figure w4_us_a_delivery)"
		stop_second
	done
	report_hosts
}

# The lists are meant to fall apart into words.
# shellcheck disable=SC2086
report_hosts()
{
	local name
	declare -A m=()
	for name in "${!all[@]}"
	do
		m[$name]=$(median ${all[$name]})
	done
	row "r CPU an event at $HOSTS_RATE/s: the relay with one gateway, with two" "${m[relay_alone]}, ${m[relay]} us"
	row "r CPU an event at $HOSTS_RATE/s: PostgreSQL for a connection that only LISTENs" "${m[bare]} us"
	row "r CPU an event at $HOSTS_RATE/s: PostgreSQL for the second gateway's LISTEN" "${m[listens]} us" '<= 5 us' "$(ratio "${m[listens]}" "${m[bare]}")"
	row "r CPU an event at $HOSTS_RATE/s: PostgreSQL for its other connections" "${m[others]} us"
	row "r with rt.batch_interval = $HOSTS_INTERVAL: the relay, the second gateway's LISTEN" "${m[relay_slow]}, ${m[listens_slow]} us" '<= 5 us' "$(ratio "${m[listens_slow]}" "${m[listens]}")"
	row 'r due to LISTEN, p50: without, with it' "$(in_ms "${m[p50]}"), $(in_ms "${m[p50_slow]}") ms"
	row "r CPU a delivery: one gateway with $HOSTS_SOCKETS sockets, two with as many each" "${m[one]}, ${m[two]} us"
	row 'r two gateways deliver so many times what one does, by CPU a delivery' "$(awk -v a="${m[one]}" -v b="${m[two]}" 'BEGIN { printf "%.2f", 2 * a / b }')" '>= 1.9'
}
