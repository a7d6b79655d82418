# Part o: searches in five million messages, and first pages of long lists, as PostgreSQL answers them: rt_api's functions, without the
# gateway.  It takes some minutes to make the messages; RT_BENCH_SEARCH_MESSAGES says how many.

SEARCH_MESSAGES=${RT_BENCH_SEARCH_MESSAGES:-5000000}
SEARCH_CALLS=60

# p95 FUNCTION ACTOR REQUEST...: in milliseconds, of calls with one request after another, in one connection, after as many that
# warm it up.
p95()
{
	local function=$1 actor=$2 request
	shift 2
	for request in "$@" "$@"
	do
		printf "SELECT length(%s('%s', '%s')::text);\n" "$function" "$actor" "${request//\'/\'\'}"
	done | { echo '\timing on'; cat; } | psql -X -q -A -t -v ON_ERROR_STOP=1 | sed -n 's/^Time: \([0-9.]*\) ms.*/\1/p' | tail -n "$#" |
		sort -g | awk '{ v[NR] = $1 } END { print v[int(0.95 * NR + 0.5)] }'
}

# search_row WHAT WORDS...
search_row()
{
	local what=$1 requests=() word
	shift
	while [ ${#requests[@]} -lt "$SEARCH_CALLS" ]
	do
		for word in "$@"
		do
			requests+=("{\"q\": \"$word\"}")
		done
	done
	progress "search, $what"
	row "o search in $SEARCH_MESSAGES messages, $what, p95" "$(p95 rt_api.search find1 "${requests[@]}") ms" '<= 50'
}

# Words at these ranks.
words_at()
{
	sql -c "SELECT word FROM find.vocabulary WHERE n IN ($1) AND n % 5 <> 0 ORDER BY n"
}

bench_o()
{
	local crowd first=() i
	progress "making $SEARCH_MESSAGES messages"
	sql -v messages="$SEARCH_MESSAGES" -f "$BENCH/search.sql" > /dev/null || die 'cannot make messages to search'
	# The lists are meant to fall apart into words.
	# shellcheck disable=SC2046
	{
		search_row 'common words' $(words_at '1, 2, 3, 4, 6, 7, 8, 9')
		search_row 'words of two hundredths' $(words_at '41, 42, 43, 44')
		search_row 'words of a thousandth' $(words_at '91, 92, 93, 94, 161, 162, 163, 164')
		search_row 'rare words' $(words_at '20001, 30002, 40003, 50004, 55001, 59002')
		search_row 'prefixes of two letters' ba de ki lo
		search_row 'prefixes of four letters' $(words_at '301, 1002, 5003, 20004' | cut -c 1-4)
		search_row 'two Chinese characters' $(sql -c 'SELECT word FROM find.vocabulary WHERE n IN (5, 50, 500, 5000, 20000, 50000)')
		search_row 'two frequent words' "$(words_at '1, 9' | paste -sd' ')" "$(words_at '9, 21' | paste -sd' ')"
		search_row 'two words' "$(words_at '1, 92' | paste -sd' ')" "$(words_at '93, 164' | paste -sd' ')"
	}
	for i in $(seq "$SEARCH_CALLS")
	do
		first+=('{}')
	done
	row 'o first page of 3,000 rooms, p95' "$(p95 rt_api.rooms_list many "${first[@]}") ms" '<= 10'
	crowd=$(sql -c "SELECT id FROM rt.rooms WHERE name = 'crowd'")
	row 'o first page of 20,000 members, p95' "$(p95 rt_api.members_list many "${first[@]/\{\}/\{\"roomId\": \"$crowd\"\}}") ms" '<= 10'
}
