# Part p: what bad neighbours cost others, who send and read 20 times a second in a room of their own (neighbours.mjs).
# Compared with the worse of two measurements without, before and after.  RT_BENCH_SECONDS (10) is how long each takes.

declare -A NEIGHBOURS=([1]='transaction that holds six rooms' [15]='pipelined /metrics' [16]='announced bodies' [17]='2,000 silent connections'
	[18]='wrong passwords')

bench_p()
{
	local name send_without send_with history_without history_with errors
	command -v node > /dev/null || die 'part p needs node'
	node "$BENCH/neighbours.mjs" > "$SCRATCH/neighbours" || die 'no figure'
	while IFS=$'\t' read -r name send_without send_with history_without history_with errors
	do
		if [ "$name" = none ]
		then
			row 'p others alone, before and after: p99 of send' "$send_without, $send_with ms"
			row 'p others alone, before and after: p99 of history' "$history_without, $history_with ms"
			row 'p others alone: errors' "$errors" 0
			continue
		fi
		row "p ${NEIGHBOURS[$name]}: others' p99 of send" "$send_with ms" '<= 3' "$(ratio "$send_with" "$send_without")"
		row "p ${NEIGHBOURS[$name]}: others' p99 of history" "$history_with ms" '<= 3' "$(ratio "$history_with" "$history_without")"
		row "p ${NEIGHBOURS[$name]}: others' errors" "$errors" 0
	done < "$SCRATCH/neighbours"
}
