# Part j: the media forwarder, beside a program that does no more than a forwarder must (floor).

FORWARDED_BYTES=1100
FORWARDED_PER_SECOND=500
FORWARD_SECONDS=6
FORWARD_AUDIENCES=(10 20 50 200)
JOINERS=301
JOINS_AT_ONCE=16

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

# forward RECEIVERS ARGUMENT...
forward()
{
	local receivers=$1
	shift
	restart_media
	swarm forward h --pid "$MEDIA" --count $((receivers + 1)) --room "$(new_meetings 1)" --pps "$FORWARDED_PER_SECOND" \
		--size "$FORWARDED_BYTES" --seconds "$FORWARD_SECONDS" "$@"
	expect lost 0 'packets were lost'
	expect failed 0 'packets are not authentic'
	[ "$(figure verified)" -gt 0 ] || die 'no packet was verified'
}

# The forwarder may still send to the last run's receivers, whose ports the floor might get; a fresh one does not.
forward_floor()
{
	restart_media
	"$BUILD/media_floor" "$1" "$FORWARDED_PER_SECOND" "$FORWARDED_BYTES" 4 > "$SCRATCH/figures" || die 'the floor failed'
	expect lost 0 'the floor lost packets'
}

# report_memory RECEIVERS KILOBYTES FEWER KILOBYTES: what the worker took for the first ones is not all theirs: buffers for
# batches, and pages of code and heap that any traffic needs.  A receiver's own part is what each one more takes.
report_memory()
{
	row "j forwarding to $1, resident set that the call added" "$(printf '%.0f kB' "$2")" ''
	[ "$3" = 0 ] || row "j each receiver more, from $3 to $1, resident set" \
		"$(awk -v n="$1" -v kb="$2" -v fewer="$3" -v fewer_kb="$4" 'BEGIN { printf("%.0f kB", (kb - fewer_kb) / (n - fewer)) }')" '<= 60 kB'
}

# The lists are meant to fall apart into words.
# shellcheck disable=SC2086
bench_j()
{
	local n round before=0
	declare -A cost=() floor=() p50=() p99=() memory=() up=()
	MEDIA=$("$ROOT/test/rt-cluster" env --dir "$CLUSTER" | sed -n 's/.*media=\([0-9]*\).*/\1/p')
	for n in "${FORWARD_AUDIENCES[@]}"
	do
		for round in $(seq "$ROUNDS")
		do
			progress "forwarding to $n, round $round"
			forward "$n" --rate "$([ "$n" = 10 ] && echo 1 || echo 8)"
			cost[$n]+=" $(figure us_a_packet)"
			p50[$n]+=" $(figure p50_us)"
			p99[$n]+=" $(figure p99_us)"
			memory[$n]+=" $(calculate "bytes_a_receiver * $n / 1024" '%.1f')"
			up[$n]+=" $(figure up_ms)"
			forward_floor "$n"
			floor[$n]+=" $(figure us_a_packet)"
		done
		report_forwarding "$n" "$(median ${cost[$n]})" "$(median ${floor[$n]})" "$(median ${p50[$n]})" "$(median ${p99[$n]})"
		report_memory "$n" "$(median ${memory[$n]})" "$before" "$(median ${memory[$before]:-0})"
		before=$n
	done
	row 'j from join-meeting to DTLS up, one receiver after the other' "$(printf '%.1f ms' "$(median ${up[10]})")" '<= 20 ms'
	bench_joins
}

report_forwarding()
{
	row "j forwarding to $1, the floor, CPU a packet" "$(printf '%.2f us' "$3")"
	row "j forwarding to $1, CPU a packet" "$(printf '%.2f us' "$2")" '<= 1.50' "$(ratio "$2" "$3")"
	row "j forwarding to $1, latency from due to arrived p50, p99" "$(in_ms "$4") ms, $(in_ms "$5") ms" 'p99 <= 2 ms'
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

# In virtual time: the machine's load is none of their business, so the pictures change only when the engine does.
CALLS=(single-900 two-layers-8fps three-layers-500 three-layers-300 tcp outage speaker-first changing-link)

bench_m()
{
	mkdir -p "$ROOT/docs/images/calls"
	SIM_SVG=$ROOT/docs/images/calls "$ROOT/test/sim/run" "${CALLS[@]}" > "$SCRATCH/calls.tap" || die 'a call failed its bounds: test/sim/run'
	progress "pictures of ${#CALLS[@]} calls are in docs/images/calls"
}
