# Parts b to e, and q: what a socket sees, and what it costs.

FLOOR_PORT=7100
FANOUT_SIZES=(1000 10000)
MESSAGE_BYTES=200

# load_gateway SCENARIO ARGUMENT...
load_gateway()
{
	local scenario=$1
	shift
	swarm "$scenario" bench --pid "$GATEWAY" --room "$ROOM" --size "$MESSAGE_BYTES" "$@"
}

in_ms()
{
	awk -v us="$1" 'BEGIN { printf "%.2f", us / 1000 }'
}

# At a fixed rate; a message's time runs from when it was due.
bench_b()
{
	local round p50=() p99=()
	for round in $(seq "$ROUNDS")
	do
		progress "latency, 100 inserts/s to 100 sockets, round $round"
		load_gateway fanout --count 100 --mode insert --windows 0 --rate 100 --seconds 5
		p50+=("$(figure w0_p50_us)")
		p99+=("$(figure w0_p99_us)")
	done
	row 'b commit to client, 100 inserts/s to 100 sockets, p50' "$(in_ms "$(median "${p50[@]}")") ms" '<= 1.5 ms'
	row 'b commit to client, 100 inserts/s to 100 sockets, p99' "$(in_ms "$(median "${p99[@]}")") ms"
}

# A message goes alone when the next is sent once all have it; the other measurement keeps four under way.  The generator naps
# between its looks, at the gateway and at the floor alike: waking it is not the server's work.
FANOUT_PHASES=(--windows 1,4 --seconds 3 --nap 100)

load_floor()
{
	local server scenario=$1
	shift
	"$BUILD/fanout_floor" "$FLOOR_PORT" &
	server=$!
	until (exec 3<> "/dev/tcp/127.0.0.1/$FLOOR_PORT") 2> /dev/null
	do
		kill -0 "$server" || die 'the floor did not start'
		sleep 0.05
	done
	"$SWARM" "$scenario" --port "$FLOOR_PORT" --tokens "$SCRATCH/tokens.bench" --pid "$server" --mode floor --room 1 --size "$MESSAGE_BYTES" "$@" \
		> "$SCRATCH/figures" || die 'the swarm failed on the floor'
	kill "$server"
	wait "$server" 2> /dev/null
}

bench_c()
{
	local n round window
	declare -A cost=() rate=() floor=()
	for n in "${FANOUT_SIZES[@]}"
	do
		for round in $(seq "$ROUNDS")
		do
			progress "fan-out to $n sockets, round $round"
			load_gateway fanout --count "$n" --mode insert "${FANOUT_PHASES[@]}"
			for window in 1 4
			do
				cost[$n.$window]+=" $(figure w${window}_us_a_delivery)"
				rate[$n.$window]+=" $(figure w${window}_deliveries_s)"
			done
			load_floor fanout --count "$n" "${FANOUT_PHASES[@]}"
			for window in 1 4
			do
				floor[$n.$window]+=" $(figure w${window}_us_a_delivery)"
			done
		done
		report_fanout "$n"
	done
}

# The lists are meant to fall apart into words.
# shellcheck disable=SC2086
report_fanout()
{
	local n=$1 window name goal gateway bare
	for window in 1 4
	do
		case $window in
			1) name='one message at a time' goal='<= 1.30' ;;
			4) name='as fast as it goes' goal='<= 0.80' ;;
		esac
		gateway=$(median ${cost[$n.$window]})
		bare=$(median ${floor[$n.$window]})
		row "c fan-out to $n, $name" "$(printf '%.0f/s' "$(median ${rate[$n.$window]})")"
		row "c fan-out to $n, $name, bare send(), CPU a delivery" "$(printf '%.2f us' "$bare")"
		row "c fan-out to $n, $name, gateway, CPU a delivery" "$(printf '%.2f us' "$gateway")" \
			"$([ "$n" -ne 10000 ] || echo "$goal")" "$(ratio "$gateway" "$bare")"
	done
}

bench_d()
{
	local round rates=() cost=()
	for round in $(seq "$ROUNDS")
	do
		progress "one hot room by REST, 32 senders, round $round"
		load_gateway fanout --count 1 --mode rest --connections 32 --windows 32 --seconds 4
		rates+=("$(figure w32_messages_s)")
		cost+=("$(figure w32_us_a_delivery)")
	done
	row 'd one room by REST, 32 senders, durable messages' "$(printf '%.0f/s' "$(median "${rates[@]}")")" '>= 5000/s'
	row 'd one room by REST, CPU of the gateway a message, with its one delivery' "$(printf '%.1f us' "$(median "${cost[@]}")")" '<= 60 us'
}

# The gateway is a fresh one, so that no memory of earlier parts is counted, or hides what is needed.
bench_e()
{
	progress 'idle memory, 10000 sockets'
	restart_gateway
	load_gateway idle --count 10000 --seconds 3
	row 'e idle websocket connection, resident set of the gateway' "$(calculate 'bytes_a_socket / 1024' '%.2f kB')" '<= 3 kB'
}

# Users who share rooms of a hundred connect, as many at a time as come.
CONNECT_SIZES=(1000 5000)
CONNECT_SETTLE=1.5

bench_q()
{
	local n round each
	declare -A rate=() floor=() gateway=() postgres=()
	for n in "${CONNECT_SIZES[@]}"
	do
		for round in $(seq "$ROUNDS")
		do
			progress "$n users connect, round $round"
			swarm connect h --pid "$GATEWAY" --count "$n" --connections 1000 --seconds "$CONNECT_SETTLE"
			rate[$n]+=" $(calculate "$n / seconds" '%.0f')"
			gateway[$n]+=" $(figure gateway_us)"
			postgres[$n]+=" $(figure postgres_us)"
			load_floor connect --count "$n" --connections 1000 --seconds 0
			floor[$n]+=" $(calculate "$n / seconds" '%.0f')"
		done
		# The lists are meant to fall apart into words.
		# shellcheck disable=SC2086
		{
			row "q $n users connect, bare C listener" "$(median ${floor[$n]})/s"
			row "q $n users connect" "$(median ${rate[$n]})/s" '>= 6000/s' "$(ratio "$(median ${rate[$n]})" "$(median ${floor[$n]})")"
			each="$(median ${gateway[$n]}), $(median ${postgres[$n]}) us"
			row "q $n users connect, CPU of the gateway and PostgreSQL each" "$each" '-, <= 25 us'
		}
	done
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
