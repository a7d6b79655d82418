# Part k: a day's work in minutes, as the gateway's calls of the database, and what it leaves behind: updates that stay in
# their page, dead rows, autovacuum's visits, growth, and WAL.  Autovacuum has its default settings, but looks once a second
# instead of once a minute, and the log of events keeps one minute, since the day is faster than a day.  Printed is what was
# changed often.

DAY_TRANSACTIONS=${RT_BENCH_DAY:-300000}
DAY_CLIENTS=8
# How often each thing happens, of 100.
DAY_MIX=(send=38 read=25 typing=14 status=3 socket=9 react=6 edit=3 meet=2)

day_script()
{
	case $1 in
		status|socket) echo "SELECT day.$1('k' || :user)" ;;
		meet) echo "SELECT day.meet(:user % 20, 'k' || :user)" ;;
		*) echo "SELECT day.$1(:room, :member)" ;;
	esac
}

day_scripts()
{
	local part what
	for part in "${DAY_MIX[@]}"
	do
		what=${part%=*}
		{
			printf '%s\n' '\set user random(0, 1999)' '\set room random_exponential(0, 499, 4)' '\set member random(0, 19)'
			day_script "$what"
		} > "$SCRATCH/day.$what"
	done
}

day_tables()
{
	sql -F ' ' -c "SELECT s.schemaname || '.' || s.relname, s.n_tup_ins, s.n_tup_upd, s.n_tup_hot_upd, s.n_tup_del, s.n_dead_tup, s.n_live_tup,
		s.autovacuum_count, pg_table_size(s.relid), pg_indexes_size(s.relid)
		FROM pg_stat_user_tables AS s WHERE s.schemaname IN ('rt', 'rt_private') ORDER BY 1"
}

# How many tables have more dead rows than autovacuum lets be: its own thresholds, or the server's.
day_late()
{
	sql -c "SELECT count(*) FROM pg_stat_user_tables AS s JOIN pg_class AS c ON c.oid = s.relid,
		LATERAL (SELECT coalesce(max(option_value::float) FILTER (WHERE option_name = 'autovacuum_vacuum_threshold'), current_setting('autovacuum_vacuum_threshold')::float) AS base,
			coalesce(max(option_value::float) FILTER (WHERE option_name = 'autovacuum_vacuum_scale_factor'), current_setting('autovacuum_vacuum_scale_factor')::float) AS scale
			FROM pg_options_to_table(c.reloptions)) AS o
		WHERE s.schemaname IN ('rt', 'rt_private') AND s.n_dead_tup > o.base + o.scale * greatest(c.reltuples, 0)"
}

await_autovacuum()
{
	local deadline=$((SECONDS + 60))
	until [ "$(day_late)" = 0 ] || [ $SECONDS -ge $deadline ]
	do
		sleep 0.5
	done
	day_late
}

day_run()
{
	local part files=()
	for part in "${DAY_MIX[@]}"
	do
		files+=(-f "$SCRATCH/day.${part%=*}@${part#*=}")
	done
	pgbench -n -M prepared -c "$DAY_CLIENTS" -j 2 -t "$((DAY_TRANSACTIONS / DAY_CLIENTS))" "${files[@]}" > "$SCRATCH/day.out" 2>&1 ||
		{ cat "$SCRATCH/day.out" >&2; die 'pgbench failed'; }
}

# What a message costs in WAL: all of it (row, indexes, its room, the log), and without images of pages, which depend on checkpoints.
day_wal()
{
	local before after messages
	sql -c CHECKPOINT
	messages=$(sql -c 'SELECT sum(last_seq) FROM rt.rooms')
	before=$(sql -F ' ' -c 'SELECT wal_bytes, wal_fpi FROM pg_stat_wal')
	pgbench -n -M prepared -c "$DAY_CLIENTS" -j 2 -t 2500 -f "$SCRATCH/day.send" > /dev/null 2>&1 || die 'pgbench failed'
	sql -c 'SELECT pg_stat_force_next_flush()' > /dev/null
	after=$(sql -F ' ' -c 'SELECT wal_bytes, wal_fpi FROM pg_stat_wal')
	messages=$(($(sql -c 'SELECT sum(last_seq) FROM rt.rooms') - messages))
	row 'k WAL a message, with images of pages after a checkpoint' "$(awk -v b="$before" -v a="$after" -v n="$messages" \
		'BEGIN { split(b, x); split(a, y); printf "%.0f bytes", (y[1] - x[1]) / n }')"
	row 'k images of pages a message' "$(awk -v b="$before" -v a="$after" -v n="$messages" \
		'BEGIN { split(b, x); split(a, y); printf "%.2f", (y[2] - x[2]) / n }')"
}

bytes_a_row()
{
	row "k $1: bytes a row, with indexes" "$(sql -c "SELECT round((pg_table_size('$1') + pg_indexes_size('$1')) / greatest(count(*), 1)) FROM $1")"
}

bench_k()
{
	local table ins upd hot del dead live visits size indexes late
	progress 'users, rooms and meetings of a day'
	sql -f "$BENCH/day.sql" > /dev/null || die 'cannot make what part k needs'
	sql -c "ALTER SYSTEM SET autovacuum_naptime = '1s'" -c "ALTER SYSTEM SET rt.recovery_window = '60s'" -c 'SELECT pg_reload_conf()' > /dev/null
	day_scripts
	progress "a day, $DAY_TRANSACTIONS transactions"
	day_run
	sed -n 's/^tps = \([0-9]*\).*/\1/p' "$SCRATCH/day.out" > "$SCRATCH/day.tps"
	row 'k the day: transactions a second' "$(cat "$SCRATCH/day.tps")"
	late=$(await_autovacuum)
	row 'k tables in which autovacuum is late' "$late" 0
	while read -r table ins upd hot del dead live visits size indexes
	do
		[ "$((upd + del))" -gt 500 ] || continue
		row "k $table: updates, HOT, deletes" "$upd, $((upd > 0 ? 100 * hot / upd : 100)) %, $del"
		row "k $table: rows, dead, autovacuums, kB, indexes" "$live, $dead, $visits, $((size / 1024)), $((indexes / 1024))"
	done < <(day_tables)
	for table in rt.messages rt.events rt_private.receipt_ranges rt.meeting_participants
	do
		bytes_a_row "$table"
	done
	day_wal
}
