# Part w: the application in a real browser, with a cluster of its own: weight, round trips, a burst of messages, a long room.
# RT_BENCH_BURST_S (30) is how many seconds the burst takes.

bench_w()
{
	local what figure goal
	command -v npm > /dev/null || die 'part w needs npm'
	for what in clients browser
	do
		npm ci --no-audit --no-fund --loglevel=error --prefix "$ROOT/test/$what" > /dev/null || die "npm cannot install what test/$what needs"
	done
	while IFS=$'\t' read -r what figure goal
	do
		row "$what" "$figure" "$goal"
	done < <(env -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE node "$ROOT/test/browser/bench.mjs")
}
