# Part j: the media forwarder, beside a program that does no more than a forwarder must (floor).

FORWARDED_BYTES=1100
FORWARDED_PER_SECOND=500
FORWARD_SECONDS=6
FORWARD_AUDIENCES=(10 50 200)
JOINERS=301
JOINS_AT_ONCE=16

has_media_rig()
{
	[ -z "${RIG:-}" ] || return 0
	if [ ! -e "$GENERATORS/media/rig.js" ]
	then
		progress "no media rig in $GENERATORS (set RT_BENCH_DIR): this part is left out"
		return 1
	fi
	RIG=$BUILD/media
	mkdir -p "$RIG"
	cp -R "$GENERATORS/media/." "$RIG/" && make -s -C "$RIG" loadgen floor && install_rig || die 'cannot build the media rig'
}

# Programs that its package would fetch besides are not needed.
install_rig()
{
	[ -d "$RIG/node_modules/socket.io-client" ] ||
		npm install --prefix "$RIG" --ignore-scripts --no-audit --no-fund --loglevel=error > "$SCRATCH/npm.log" 2>&1 ||
		{ cat "$SCRATCH/npm.log" >&2; return 1; }
}

new_meetings()
{
	sql -c "SELECT min(m) FROM (SELECT rt.create_meeting('forwarding', 'h0', access => 'anyone') AS m FROM generate_series(1, $1)) AS made"
}

# A fresh worker, so that no memory of earlier runs is counted, or hides what is needed.
restart_media()
{
	local old=$MEDIA deadline=$((SECONDS + 20))
	kill "$old"
	until MEDIA=$("$ROOT/test/rt-cluster" env --dir "$CLUSTER" | sed -n 's/.*media=\([0-9]*\).*/\1/p')
		[ "$MEDIA" != 0 ] && [ "$MEDIA" != "$old" ] && has_media_worker
	do
		[ $SECONDS -lt $deadline ] || die 'the media worker did not come back'
		sleep 0.1
	done
}

has_media_worker()
{
	[ "$(sql -c "SELECT count(*) FROM rt_private.media_workers WHERE heartbeat_at > now() - interval '2 seconds'")" = 1 ]
}

# forward NAME CONSUMERS OPTION...: the rig's line is then in the file of that name.
forward()
{
	local name=$1 consumers=$2
	shift 2
	restart_media
	until_quiet
	timeout 120 node "$RIG/rig.js" --sfu rt --url "$RT_URL" --meeting "$(new_meetings 1)" --tokens "$SCRATCH/tokens.h" \
		--pids "media:$MEDIA" --subs "$consumers" --pps "$FORWARDED_PER_SECOND" --size "$FORWARDED_BYTES" --srtp gcm \
		--secs "$FORWARD_SECONDS" --kts 1 "$@" > "$SCRATCH/$name.json" || die 'the media rig failed'
	[ "$(media_figure "$name" .lost)" = 0 ] || die "$(media_figure "$name" .lost) packets were lost"
	[ "$(media_figure "$name" '.verify_fail == 0 and .verified > 0')" = true ] || die 'packets are not authentic'
}

media_figure()
{
	jq -r "$2" "$SCRATCH/$1.json"
}

forward_floor()
{
	"$RIG/floor" -c evp-gcm -m mmsg -b 1 -n "$1" -p "$FORWARDED_PER_SECOND" -l "$FORWARDED_BYTES" -s 4 > "$SCRATCH/floor.json" ||
		die 'the floor failed'
	[ "$(media_figure floor '.bad == 0 and .err == 0')" = true ] || die 'the floor lost packets'
}

# The lists are meant to fall apart into words.
# shellcheck disable=SC2086
bench_j()
{
	local n round
	declare -A cost=() floor=() p50=() p99=() memory=() up=()
	MEDIA=$("$ROOT/test/rt-cluster" env --dir "$CLUSTER" | sed -n 's/.*media=\([0-9]*\).*/\1/p')
	for n in "${FORWARD_AUDIENCES[@]}"
	do
		for round in $(seq "$ROUNDS")
		do
			progress "forwarding to $n, round $round"
			forward forward "$n" --par "$([ "$n" = 10 ] && echo 1 || echo 8)"
			forward_floor "$n"
			cost[$n]+=" $(media_figure forward .us_per_fwd)"
			floor[$n]+=" $(media_figure floor .us_per_fwd)"
			p50[$n]+=" $(media_figure forward .lat_us.p50)"
			p99[$n]+=" $(media_figure forward .lat_us.p99)"
			memory[$n]+=" $(media_figure forward .cpu.media.kb_per_sub)"
			up[$n]+=" $(media_figure forward .dtls_up_ms)"
		done
		report_forwarding "$n" "$(median ${cost[$n]})" "$(median ${floor[$n]})" "$(median ${p50[$n]})" "$(median ${p99[$n]})"
		row "j forwarding to $n, resident set a consumer" "$(printf '%.0f kB' "$(median ${memory[$n]})")" '<= 100 kB'
	done
	row 'j from opening a page to DTLS up, one after the other' "$(printf '%.1f ms' "$(median ${up[10]})")" '<= 20 ms'
	bench_joins
}

report_forwarding()
{
	row "j forwarding to $1, CPU a packet" "$(printf '%.2f us' "$2")"
	row "j forwarding to $1, the floor's CPU a packet" "$(printf '%.2f us' "$3")"
	row "j forwarding to $1, forwarder : floor" "$(ratio "$2" "$3")" '<= 1.50'
	row "j forwarding to $1, added latency p50, p99" "$(in_ms "$4") ms, $(in_ms "$5") ms" 'p99 <= 2 ms'
}

bench_joins()
{
	local meetings what
	for meetings in 1 50
	do
		progress "joins, $JOINS_AT_ONCE at a time, $meetings meetings"
		what=$([ "$meetings" = 1 ] && echo 'one meeting' || echo "$meetings meetings")
		restart_media
		swarm watchers h --count $((JOINERS - 1 + meetings)) --room "$(new_meetings "$meetings")" --rooms "$meetings" --rate "$JOINS_AT_ONCE"
		row "j joins of $what: join, transport, consumer" "$(calculate 'joined / seconds' '%.0f/s')" '>= 100/s'
		row "j joins of $what, p50, p99" "$(figure join_p50_ms) ms, $(figure join_p99_ms) ms"
		row "j joins of $what, CPU gateway, PostgreSQL a join" "$(calculate '1e3 * join_gateway_s / joined' '%.2f ms'), $(calculate '1e3 * join_postgres_s / joined' '%.2f ms')"
	done
}
