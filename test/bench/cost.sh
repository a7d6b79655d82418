# Parts l and n.  Part l: what PostgreSQL's processors do for a message: by INSERT, by the functions of REST, and in one hot room.  Processor time
# and not duration: of all the server's processes, those that have ended included, so the relay's share is in it.

COST_SECONDS=4
COST_BATCH=8
COST_CONTENT='It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of'

# In ticks.
server_ticks()
{
	local postmaster pid
	postmaster=$(sed 's/.*postmaster=\([0-9]*\).*/\1/' <<< "$RT_PIDS")
	for pid in "$postmaster" $(pgrep -P "$postmaster")
	do
		sed 's/.*) //' "/proc/$pid/stat" 2> /dev/null | awk -v all="$([ "$pid" != "$postmaster" ] || echo 1)" '{ print $12 + $13 + (all ? $14 + $15 : 0) }'
	done | awk '{ n += $1 } END { print n }'
}

# The rooms of part a have one member; here each has ten, who send.
cost_scripts()
{
	local pick='\set room :first + random(0, 999)
\set user 1 + (:room * 7 + random(0, 9) * 13) % 200'
	local request="{\"content\":\"$COST_CONTENT\"}"
	sql -c "INSERT INTO rt.room_members (room_id, user_id) SELECT r.id, 'bench' || (1 + (r.id * 7 + k * 13) % 200)
		FROM rt.rooms AS r, generate_series(0, 9) AS k WHERE r.name LIKE 'bench %' ON CONFLICT DO NOTHING"
	printf '%s\n%s\n' "$pick" "INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:room, 'bench' || :user, '$COST_CONTENT');" > "$SCRATCH/cost.insert"
	sed 's/rt\.messages/plain.messages/' "$SCRATCH/cost.insert" > "$SCRATCH/cost.plain"
	printf '%s\n%s\n' "$pick" "SELECT rt_api.message_send('bench' || :user, ('{\"roomId\":\"' || :room || '\",\"content\":\"$COST_CONTENT\"}')::jsonb);" > "$SCRATCH/cost.send"
	printf '%s\n%s\n' "$pick" "SELECT rt_api.message_send_batch(NULL, ('{\"roomId\":\"' || :room || '\",\"requests\":[' || rtrim(repeat('{\"actor\":\"bench' || :user || '\",\"req\":$request},', $COST_BATCH), ',') || ']}')::jsonb);" > "$SCRATCH/cost.batch"
	printf '%s\n' '\set user random(1, :users)' "INSERT INTO rt.messages (room_id, sender_id, content) VALUES (:first, 'bench' || :user, '$COST_CONTENT');" > "$SCRATCH/cost.off"
	cp "$SCRATCH/cost.off" "$SCRATCH/cost.local"
}

# cost_round MODE: prints messages a second and microseconds a message.
cost_round()
{
	local mode=$1 out before after options='' each=1
	[ "$mode" != off ] || options='-c rt.early_lock_release=off'
	[ "$mode" != batch ] || each=$COST_BATCH
	sql -c CHECKPOINT
	before=$(server_ticks)
	out=$(PGOPTIONS=$options pgbench -n -M prepared -c 8 -j "$(nproc)" -T "$COST_SECONDS" -D first="$FIRST_ROOM" -D users="$USERS" \
		-f "$SCRATCH/cost.$mode" 2>&1) || { echo "$out" >&2; die 'pgbench failed'; }
	# The relay is through with them.
	until [ "$(sql -c 'SELECT ring_used FROM rt.stat_relay')" = 0 ]
	do
		sleep 0.05
	done
	after=$(server_ticks)
	awk -v tps="$(sed -n 's/^tps = \([0-9.]*\).*/\1/p' <<< "$out")" -v n="$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' <<< "$out")" \
		-v ticks="$((after - before))" -v hz="$(getconf CLK_TCK)" -v each="$each" 'BEGIN { printf "%.0f %.0f\n", tps * each, 1e6 * ticks / hz / n / each }'
}

bench_l()
{
	local mode round rate us
	declare -A all_rate=() all_us=() cost=() speed=()
	[ -n "$(sql -c "SELECT to_regclass('plain.messages')")" ] || sql -f "$BENCH/insert.sql" > /dev/null || die 'cannot make the tables to compare with'
	FIRST_ROOM=$(sql -c "SELECT min(id) FROM rt.rooms WHERE name LIKE 'bench %'")
	cost_scripts
	for round in $(seq "$ROUNDS")
	do
		for mode in plain insert send batch off local
		do
			progress "cost of a message, $mode, round $round"
			read -r rate us < <(cost_round "$mode") || die 'no figure'
			all_rate[$mode]+=" $rate"
			all_us[$mode]+=" $us"
		done
	done
	# The lists are meant to fall apart into words.
	# shellcheck disable=SC2086
	for mode in plain insert send batch off local
	do
		cost[$mode]=$(median ${all_us[$mode]})
		speed[$mode]=$(median ${all_rate[$mode]})
	done
	row 'l CPU of PostgreSQL a message: same table without triggers, 8 clients' "${cost[plain]} us"
	row 'l CPU of PostgreSQL a message: INSERT' "${cost[insert]} us" '' "$(ratio "${cost[insert]}" "${cost[plain]}")"
	row 'l CPU of PostgreSQL a message: rt_api.message_send : INSERT' "${cost[send]} us" '<= 1.25' "$(ratio "${cost[send]}" "${cost[insert]}")"
	row "l CPU of PostgreSQL a message: message_send_batch of $COST_BATCH : INSERT" "${cost[batch]} us" '<= 1.25' "$(ratio "${cost[batch]}" "${cost[insert]}")"
	row 'l one room, 8 clients, locks held over the flush' "${speed[off]}/s ${cost[off]} us"
	row 'l one room, 8 clients, rt.early_lock_release : held' "${speed[local]}/s ${cost[local]} us" '>= 1.5' "$(ratio "${speed[local]}" "${speed[off]}")"
}

# ---- n: from when a message was due until a LISTEN has it ----------------------------

LATENCY_RATES=(100 1000)
LATENCY_ROOMS=100
LATENCY_SECONDS=4

# The least that such a server does: a table with its key and a trigger that notifies.
bare_table()
{
	sql <<-'END' > /dev/null
	CREATE SCHEMA bare;
	CREATE SEQUENCE bare.seq CACHE 100;
	CREATE TABLE bare.messages (room_id bigint NOT NULL, seq bigint NOT NULL DEFAULT nextval('bare.seq'), sender_id text, content text,
		created_at timestamptz DEFAULT clock_timestamp(), PRIMARY KEY (room_id, seq));
	CREATE FUNCTION bare.notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('bare', to_json(NEW)::text); RETURN NULL; END $$;
	CREATE TRIGGER notify AFTER INSERT ON bare.messages FOR EACH ROW EXECUTE FUNCTION bare.notify();
	END
}

bench_n()
{
	local rate mode round channel before
	declare -A p50=() p99=() mid=() cpu=()
	gcc -O2 -Wall -Wextra -Werror -I"$(pg_config --includedir)" -o "$BUILD/latency" "$BENCH/latency.c" -lpq || die 'cannot build latency'
	[ -n "$(sql -c "SELECT to_regclass('bare.messages')")" ] || bare_table || die 'cannot make the table to compare with'
	FIRST_ROOM=$(sql -c "SELECT min(id) FROM rt.rooms WHERE name LIKE 'bench %'")
	for round in $(seq "$ROUNDS")
	do
		for rate in "${LATENCY_RATES[@]}"
		do
			for mode in rt bare
			do
				progress "latency, $rate/s over $LATENCY_ROOMS rooms, $mode, round $round"
				channel=$mode
				[ "$mode" != rt ] || channel=rt_events
				before=$(server_ticks)
				"$BUILD/latency" "$mode.messages" "$channel" "$FIRST_ROOM" "$LATENCY_ROOMS" "$rate" "$LATENCY_SECONDS" > "$SCRATCH/figures" || die 'no figure'
				cpu[$mode.$rate]+=" $(awk -v ticks=$(($(server_ticks) - before)) -v hz="$(getconf CLK_TCK)" -v n=$((rate * LATENCY_SECONDS)) \
					'BEGIN { printf "%.0f", 1e6 * ticks / hz / n }')"
				[ "$mode" = bare ] || expect missing 0 'messages did not arrive'
				p50[$mode.$rate]+=" $(figure p50_us)"
				p99[$mode.$rate]+=" $(figure p99_us)"
			done
		done
	done
	# The lists are meant to fall apart into words.
	# shellcheck disable=SC2086
	for rate in "${LATENCY_RATES[@]}"
	do
		for mode in bare rt
		do
			mid[$mode.50]=$(median ${p50[$mode.$rate]})
			mid[$mode.99]=$(median ${p99[$mode.$rate]})
			mid[$mode.cpu]=$(median ${cpu[$mode.$rate]})
		done
		row "n due to LISTEN, $rate/s, trigger with pg_notify: p50, p99" "$(in_ms "${mid[bare.50]}"), $(in_ms "${mid[bare.99]}") ms"
		row "n due to LISTEN, $rate/s, rt: p50, p99; ratios" "$(in_ms "${mid[rt.50]}"), $(in_ms "${mid[rt.99]}") ms" '<= 1.2' \
			"$(ratio "${mid[rt.50]}" "${mid[bare.50]}"),$(ratio "${mid[rt.99]}" "${mid[bare.99]}")"
		row "n CPU of PostgreSQL a message, $rate/s, rt : trigger with pg_notify" "${mid[rt.cpu]} us" "$([ "$rate" != 100 ] || echo '<= 1.3')" \
			"$(ratio "${mid[rt.cpu]}" "${mid[bare.cpu]}")"
	done
}
