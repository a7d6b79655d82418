# Parts b to e: what a socket sees, and what it costs.  Figures are read from the generator's JSON.

FLOOR_PORT=7100
FANOUT_SIZES=(1000 10000)
MESSAGE_BYTES=200

has_generators()
{
	[ -z "${FANLOAD:-}" ] || return 0
	if [ ! -e "$GENERATORS/fanout/fanload.c" ]
	then
		progress "no load generators in $GENERATORS (set RT_BENCH_DIR): this part is left out"
		return 1
	fi
	mkdir -p "$BUILD"
	gcc -O2 -w -o "$BUILD/fanload" "$GENERATORS/fanout/fanload.c" -lm &&
		gcc -O2 -w -I"$(pg_config --includedir)" -o "$BUILD/phys" "$GENERATORS/fanout/phys.c" -luring -lcrypto -lpq ||
		die 'cannot build the load generators'
	FANLOAD=$BUILD/fanload
	ROOM=$(sql -c "SELECT id FROM rt.rooms WHERE name = 'everybody'")
	sql -c "SELECT rt.issue_token(id, '1 day') FROM rt.users ORDER BY id" > "$SCRATCH/tokens"
}

# fanload on the gateway: sockets of all users, joined to the one room.
load_gateway()
{
	"$FANLOAD" --port "${RT_URL##*:}" --tokens "$SCRATCH/tokens" --room0 "$ROOM" --size "$MESSAGE_BYTES" \
		--join '420["join-chat-rooms",{"roomIds":["%r"]}]' --join-ack 430 --event '"new-chat-message"' \
		--pid gateway="$GATEWAY" "$@"
}

by_insert=(--pub pg --pub-user postgres --pub-db rt --pub-conns 8
	--pub-msg "INSERT INTO rt.messages (room_id, sender_id, content) VALUES ('%r', 'bench1', '%m')")

publish_by_insert()
{
	load_gateway "${by_insert[@]}" --pub-sock "$PGHOST/.s.PGSQL.$PGPORT" "$@"
}

bench_b()
{
	local round p50=() p99=()
	for round in $(seq "$ROUNDS")
	do
		progress "latency, 100 inserts/s to 100 sockets, round $round"
		publish_by_insert --n 100 --phase latency:rate=100,warm=1,dur=5 > "$SCRATCH/latency.json" || die 'fanload failed'
		p50+=("$(phase_figure latency .lat_us.p50)")
		p99+=("$(phase_figure latency .lat_us.p99)")
	done
	row 'b commit to client, 100 inserts/s to 100 sockets, p50' "$(in_ms "$(median "${p50[@]}")") ms" '<= 1.5 ms'
	row 'b commit to client, 100 inserts/s to 100 sockets, p99' "$(in_ms "$(median "${p99[@]}")") ms"
}

in_ms()
{
	awk -v us="$1" 'BEGIN { printf "%.2f", us / 1000 }'
}

# phase_figure FILE FILTER [PHASE]: a figure of a phase, by default the first.
phase_figure()
{
	jq -r "(.phases[] | select(.name == \"${3:-$1}\")) | $2" "$SCRATCH/$1.json"
}

# A message goes alone when the next is sent once all have it; "full" keeps four in flight.  The generator naps between
# its looks, at the gateway and at the floor alike: waking it is not the server's work.
fanout_phases=(--nap 100 --phase alone:w=1,warm=0.5,dur=3 --phase full:w=4,warm=0.5,dur=3)

load_floor()
{
	local server status
	"$BUILD/phys" "$FLOOR_PORT" send &
	server=$!
	until (exec 3<> "/dev/tcp/127.0.0.1/$FLOOR_PORT") 2> /dev/null
	do
		kill -0 "$server" || die 'the floor did not start'
		sleep 0.05
	done
	"$FANLOAD" --port "$FLOOR_PORT" --proto raw --path /sub --pub ws --pub-path /pub --size "$MESSAGE_BYTES" --pid floor="$server" "$@"
	status=$?
	kill "$server"
	wait "$server" 2> /dev/null
	return $status
}

bench_c()
{
	local n round phase what
	declare -A cost=() rate=()
	for n in "${FANOUT_SIZES[@]}"
	do
		for round in $(seq "$ROUNDS")
		do
			progress "fan-out to $n sockets, round $round"
			publish_by_insert --n "$n" "${fanout_phases[@]}" > "$SCRATCH/gateway.json" || die 'fanload failed'
			load_floor --n "$n" "${fanout_phases[@]}" > "$SCRATCH/floor.json" || die 'fanload failed on the floor'
			for phase in alone full
			do
				for what in gateway floor
				do
					[ "$(phase_figure $what .lost $phase)" = 0 ] || die "$what lost deliveries"
					cost[$n.$phase.$what]+=" $(phase_figure $what '.servers[0].us_per_delivery' $phase)"
					rate[$n.$phase.$what]+=" $(phase_figure $what .deliveries_s $phase)"
				done
			done
		done
		report_fanout "$n"
	done
}

# The lists are meant to fall apart into words.
# shellcheck disable=SC2086
report_fanout()
{
	local n=$1 phase name goal gateway floor
	for phase in alone full
	do
		case $phase in
			alone) name='one message at a time' goal='<= 1.30' ;;
			full) name='as fast as it goes' goal='<= 0.80' ;;
		esac
		gateway=$(median ${cost[$n.$phase.gateway]})
		floor=$(median ${cost[$n.$phase.floor]})
		row "c fan-out to $n, $name" "$(printf '%.0f/s' "$(median ${rate[$n.$phase.gateway]})")"
		row "c fan-out to $n, $name, gateway CPU a delivery" "$(printf '%.2f us' "$gateway")"
		row "c fan-out to $n, $name, bare send() CPU a delivery" "$(printf '%.2f us' "$floor")"
		row "c fan-out to $n, $name, gateway : bare send()" "$(ratio "$gateway" "$floor")" "$([ "$n" -ne 10000 ] || echo "$goal")"
	done
}

bench_d()
{
	local round rates=()
	for round in $(seq "$ROUNDS")
	do
		progress "one hot room by REST, 32 senders, round $round"
		load_gateway --n 1 --pub http --pub-conns 32 --pub-path /api/chat/rooms/%r/msgs --pub-header 'Content-Type: application/json' \
			--pub-header "Authorization: Bearer $(head -n 1 "$SCRATCH/tokens")" --pub-msg '{"content":"%m"}' \
			--phase hot:w=32,warm=1,dur=4 > "$SCRATCH/hot.json" || die 'fanload failed'
		[ "$(phase_figure hot .pub_errors)" = 0 ] || die 'requests were refused'
		rates+=("$(phase_figure hot .msgs_s)")
	done
	row 'd one room by REST, 32 senders, durable messages' "$(printf '%.0f/s' "$(median "${rates[@]}")")" '>= 5000/s'
}

# The gateway is a fresh one, so that no memory of earlier parts is counted, or hides what is needed.
bench_e()
{
	local bytes
	progress 'idle memory, 10000 sockets'
	restart_gateway
	load_gateway --n 10000 --settle 3 > "$SCRATCH/idle.json" || die 'fanload failed'
	bytes=$(jq -r '.servers[0].rss_per_conn' "$SCRATCH/idle.json")
	row 'e idle websocket connection, resident set of the gateway' "$(awk -v b="$bytes" 'BEGIN { printf "%.2f kB", b / 1024 }')" '<= 6 kB'
}

restart_gateway()
{
	local old=$GATEWAY deadline=$((SECONDS + 20))
	kill "$old"
	until GATEWAY=$("$ROOT/test/rt-cluster" env --dir "$CLUSTER" | sed -n 's/.*gateway=\([0-9]*\).*/\1/p')
		[ "$GATEWAY" != 0 ] && [ "$GATEWAY" != "$old" ] && curl -sf -o /dev/null "$RT_URL/readyz"
	do
		[ $SECONDS -lt $deadline ] || die 'the gateway did not come back'
		sleep 0.1
	done
}
