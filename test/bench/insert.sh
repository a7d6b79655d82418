# Part a: INSERT throughput and p99 with rt, against the same table without triggers, and against the same triggers with
# pg_notify in the writer's transaction.  A thousand rooms, two hundred senders, one row a transaction.

INSERT_CLIENTS=(1 8 32)
INSERT_SECONDS=3

# insert_round MODE CLIENTS: prints transactions a second and the 99th percentile in milliseconds.
insert_round()
{
	local mode=$1 clients=$2 table=rt.messages options='' out
	case $mode in
		plain) table=plain.messages ;;
		notify)
			options='-c rt.suppress_events=on'
			sql -c 'ALTER TABLE rt.messages ENABLE TRIGGER bench_notify'
			;;
	esac
	sql -c CHECKPOINT
	rm -f "$SCRATCH"/latency.*
	out=$(PGOPTIONS=$options pgbench -n -M prepared -c "$clients" -j "$(nproc)" -T "$INSERT_SECONDS" -l --log-prefix "$SCRATCH/latency" \
		-D first="$FIRST_ROOM" -D users="$USERS" -f <(sed "s/TABLE/$table/" "$BENCH/insert.pgbench") 2>&1) || { echo "$out" >&2; die 'pgbench failed'; }
	[ "$mode" != notify ] || sql -c 'ALTER TABLE rt.messages DISABLE TRIGGER bench_notify'
	echo "$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' <<< "$out") $(cat "$SCRATCH"/latency.* | awk '{ print $3 }' | sort -n |
		awk '{ v[NR] = $1 } END { printf "%.2f", v[int(NR * 0.99) + (NR * 0.99 > int(NR * 0.99))] / 1000 }')"
}

# Somebody listens in each mode: the gateway to rt's channel, this to that of the trigger compared with.
start_listener()
{
	{ echo 'LISTEN bench;'; while sleep 0.2; do echo 'SELECT;' || break; done; } | psql -X -q > /dev/null 2>&1 &
}

# What a flush of the log has taken on average, in microseconds.
flush_time()
{
	if [ "$(sql -c 'SHOW server_version_num')" -ge 180000 ]
	then
		sql -c "SELECT round(sum(fsync_time) * 1000 / sum(fsyncs)) FROM pg_stat_io WHERE object = 'wal'"
	else
		sql -c 'SELECT round(wal_sync_time * 1000 / wal_sync) FROM pg_stat_wal'
	fi
}

bench_insert()
{
	local clients mode round tps p99
	declare -A all_tps=() all_p99=() mid=()
	sql -f "$BENCH/insert.sql" > /dev/null || die 'cannot make the tables to compare with'
	FIRST_ROOM=$(sql -c "SELECT min(id) FROM rt.rooms WHERE name LIKE 'bench %'")
	start_listener
	sql -c "SELECT pg_stat_reset_shared('wal')" > /dev/null
	for round in $(seq "$ROUNDS")
	do
		for clients in "${INSERT_CLIENTS[@]}"
		do
			for mode in rt plain notify
			do
				progress "INSERT, $clients clients, $mode, round $round"
				read -r tps p99 < <(insert_round "$mode" "$clients") || die 'no figure'
				all_tps[$mode.$clients]+=" $tps"
				all_p99[$mode.$clients]+=" $p99"
			done
		done
	done
	# The lists are meant to fall apart into words.
	# shellcheck disable=SC2086
	for clients in "${INSERT_CLIENTS[@]}"
	do
		for mode in rt plain notify
		do
			mid[$mode]=$(median ${all_tps[$mode.$clients]})
			row "a INSERT, $clients clients, $(insert_mode_name "$mode")" \
				"$(printf '%.0f/s p99 %s ms' "${mid[$mode]}" "$(median ${all_p99[$mode.$clients]})")"
		done
		row "a INSERT, $clients clients, rt : plain" '' "$([ "$clients" -ne 32 ] || echo '>= 0.70')" "$(ratio "${mid[rt]}" "${mid[plain]}")"
		row "a INSERT, $clients clients, rt : pg_notify" '' "$([ "$clients" -ne 32 ] || echo '>= 3')" "$(ratio "${mid[rt]}" "${mid[notify]}")"
	done
	row 'a flush of the log, mean' "$(flush_time) us"
}

insert_mode_name()
{
	case $1 in
		rt) echo 'rt' ;;
		plain) echo 'same table without triggers' ;;
		notify) echo 'same triggers, pg_notify in the transaction' ;;
	esac
}
