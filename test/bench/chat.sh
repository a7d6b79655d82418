# Parts f to i: receipts, users that come and go, and meetings, by a swarm of sockets of our own (swarm/).

FRESH_USERS=(f g h)
QUIET_SECONDS=30

# Each group of users has its tokens in a file, a line each.
make_tokens()
{
	local letter
	ROOM=$(sql -c "SELECT id FROM rt.rooms WHERE name = 'everybody'")
	sql -c "SELECT rt.issue_token(id, '1 day') FROM rt.users ORDER BY id" > "$SCRATCH/tokens.bench"
	progress 'users, rooms and messages'
	sql -f "$BENCH/chat.sql" > /dev/null || die 'cannot make users and rooms'
	for letter in "${FRESH_USERS[@]}"
	do
		sql -c "SELECT rt.issue_token(id, '1 day') FROM rt.users WHERE id ~ '^$letter[0-9]+$' ORDER BY substr(id, 2)::int" > "$SCRATCH/tokens.$letter"
	done
}

# swarm SCENARIO USERS ARGUMENT...: its figures are then in "figures".
swarm()
{
	local scenario=$1 users=$2 postmaster
	shift 2
	until_quiet
	postmaster=$(sed 's/.*postmaster=\([0-9]*\).*/\1/' <<< "$RT_PIDS")
	"$SWARM" "$scenario" --port "${RT_URL##*:}" --postmaster "$postmaster" --tokens "$SCRATCH/tokens.$users" "$@" > "$SCRATCH/figures" ||
		die "swarm $scenario failed"
}

# Nobody is left of what ran before.
until_quiet()
{
	local deadline=$((SECONDS + QUIET_SECONDS))
	until [ "$(sql -c "SELECT count(*) FROM rt.presence WHERE status <> 'offline'")" = 0 ]
	do
		[ $SECONDS -lt $deadline ] || die 'users stay online whose sockets are gone'
		sleep 0.2
	done
}

figure()
{
	sed -n "s/^$1=//p" "$SCRATCH/figures"
}

# calculate EXPRESSION FORMAT: the figures are awk's variables.
calculate()
{
	local arguments=() line
	while read -r line
	do
		arguments+=(-v "$line")
	done < "$SCRATCH/figures"
	awk "${arguments[@]}" "BEGIN { printf \"$2\", $1 }"
}

# expect NAME VALUE WHAT: what must hold, or the figures are worth nothing.
expect()
{
	[ "$(figure "$1")" = "$2" ] || die "$3: $(figure "$1")"
}

room_named()
{
	sql -c "SELECT min(id) FROM rt.rooms WHERE name = '$1'"
}

# ---- f: receipts ---------------------------------------------------------------

table_bytes()
{
	sql -c "SELECT pg_total_relation_size('$1')"
}

bench_f()
{
	local mode what stored events
	for mode in forward scattered
	do
		progress "receipts, 20 members of 1000 in batches of 20, $mode"
		case $mode in
			forward) what='read from the start' ;;
			scattered) what='no batch adjoins another' ;;
		esac
		sql -c 'TRUNCATE rt_private.receipt_ranges' -c 'VACUUM FULL rt.events'
		events=$(table_bytes rt.events)
		swarm receipts f --count 20 --room "$(room_named receipts)" --seconds 8 --mode "$mode"
		stored=$(sql -c 'SELECT sum(seq_to - seq_from + 1) FROM rt_private.receipt_ranges')
		[ "$stored" = "$(figure receipts)" ] || die "$(figure receipts) receipts were acknowledged, $stored are stored"
		{
			echo "rows=$(sql -c 'SELECT count(*) FROM rt_private.receipt_ranges')"
			echo "bytes=$(table_bytes rt_private.receipt_ranges)"
			echo "log_bytes=$(($(table_bytes rt.events) - events))"
		} >> "$SCRATCH/figures"
		row "f receipts, $what" "$(calculate 'receipts / seconds' '%.0f/s')"
		row "f receipts, $what, CPU of PostgreSQL a receipt" "$(calculate '1e6 * cost_postgres_s / receipts' '%.0f us')"
		row "f receipts, $what, rows a receipt" "$(calculate 'rows / receipts' '%.4f')"
		row "f receipts, $what, bytes a receipt, with indexes" "$(calculate 'bytes / receipts' '%.1f')"
		row "f receipts, $what, event log bytes a receipt" "$(calculate 'log_bytes / receipts' '%.1f')"
	done
	compare_receipts
}

# The same receipts, the last ones stored, in the table that one would make first.
compare_receipts()
{
	sql -c 'CREATE SCHEMA IF NOT EXISTS plain' -c 'CREATE TABLE plain.receipts (room_id bigint, seq bigint, user_id text,
		delivered_at timestamptz, seen_at timestamptz, PRIMARY KEY (room_id, seq, user_id))' \
		-c 'INSERT INTO plain.receipts SELECT room_id, seq, user_id, delivered_at, seen_at FROM rt.receipts WHERE seen_at IS NOT NULL'
	echo "plain_bytes=$(table_bytes plain.receipts)" >> "$SCRATCH/figures"
	row 'f one row a message and reader instead, bytes a receipt' "$(calculate 'plain_bytes / receipts' '%.1f')"
	sql -c 'DROP TABLE plain.receipts'
}

# ---- g: presence ---------------------------------------------------------------

# Events a user can cause are bounded by the users that share a room with it, writes by 1 a window (250 ms) and socket.
bench_g()
{
	local mode what
	for mode in login blink outage
	do
		progress "presence, 2000 users of one room within 5 s, $mode"
		case $mode in
			login) what='2000 log in within 5 s' ;;
			blink) what='2000 in turn gone for 1 s, within 5 s' ;;
			outage) what='2000 gone at once, back within 5 s' ;;
		esac
		swarm presence g --count 2000 --seconds 5 --mode "$mode"
		expect missed 0 'somebody was not told that a user came'
		expect twice 0 'somebody was told twice that a user came'
		[ "$mode" = outage ] || expect offline 0 'somebody was told that a user went who was back within the grace'
		[ "$mode" != blink ] || expect online 0 'somebody was told that a user came who had not been away'
		row "g $what: status events" "$(calculate 'online + offline' '%.0f')" "$([ "$mode" != blink ] || echo 0)"
		row "g $what: writes, at most 4/s a socket" "$(figure cost_writes)"
		row "g $what: CPU gateway, PostgreSQL" "$(calculate cost_gateway_s '%.2f s'), $(calculate cost_postgres_s '%.2f s')"
		row "g $what: database calls" "$(figure cost_db_calls)"
	done
}

# ---- h: reconnecting -------------------------------------------------------------

bench_h()
{
	local mode what
	for mode in recent log
	do
		progress "5000 sockets lose and regain the network, $mode"
		case $mode in
			recent) what='5000 back after 3 s' ;;
			log) what='5000 back, gateway killed' ;;
		esac
		swarm reconnect h --count 5000 --room "$(room_named 'reconnect 0')" --rooms 50 --rate 100 --seconds 3 --mode "$mode"
		expect fresh 0 'not all sessions were recovered'
		expect gaps 0 'messages were lost'
		expect doubles 0 'messages came twice'
		row "h $what: median, last one caught up" "$(figure median_s) s, $(figure last_s) s"
		row "h $what: CPU gateway, PostgreSQL" "$(calculate cost_gateway_s '%.2f s'), $(calculate cost_postgres_s '%.2f s')"
		row "h $what: database calls, of all kinds" "$(figure cost_db_calls)"
		row "h $what: reads of missed events, a room" "$(calculate 'cost_replay_pages / 50' '%.2f')" '<= 1'
	done
	GATEWAY=$("$ROOT/test/rt-cluster" env --dir "$CLUSTER" | sed -n 's/.*gateway=\([0-9]*\).*/\1/p')
}

# ---- i: meetings -----------------------------------------------------------------

bench_i()
{
	progress 'meetings, 500 join at 50/s, then 16 signal'
	swarm meetings h --count 500 --room "$(sql -c "SELECT min(id) FROM rt.meetings WHERE title = 'meeting 0'")" --rooms 50 --rate 50 --seconds 5
	row 'i join-meeting to meeting-joined, 50 joins/s, p50, p99' "$(figure join_p50_ms) ms, $(figure join_p99_ms) ms"
	row 'i join-meeting, CPU of PostgreSQL a join' "$(calculate '1e3 * join_postgres_s / joined' '%.2f ms')"
	row 'i produce and close-producer, 16 sockets, round trips' "$(calculate 'trips / seconds' '%.0f/s')"
	row 'i produce and close-producer, p50, p99' "$(figure trip_p50_ms) ms, $(figure trip_p99_ms) ms"
	row 'i produce and close-producer, CPU of PostgreSQL a round trip' "$(calculate '1e3 * signal_postgres_s / trips' '%.2f ms')"
}
