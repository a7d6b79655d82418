/* lineage.c: where a server is in which history.
 *
 * rt_wal_position() is the end of the log.  At the primary it flushes it: what was committed asynchronously must
 * reach the standbys that are to read it.
 *
 * rt_lineage() tells which history of which server a database is: system identifier, timeline, the point at which the
 * timeline left its parent, database.  A restart changes nothing of it; a promotion, a recovery to a point in time
 * and a dump that is restored elsewhere do.  A SQL function, in any backend, also on a standby: there it is the
 * history that is replayed.  Takes no lock.  The timeline's history file is read once a backend and timeline. */
#include "postgres.h"

#include "access/timeline.h"
#include "access/xlog.h"
#if PG_VERSION_NUM >= 150000
#include "access/xlogrecovery.h"
#endif
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/memutils.h"

#include "wal.h"

PG_FUNCTION_INFO_V1(rt_lineage);
PG_FUNCTION_INFO_V1(rt_wal_position);

static TimeLineID
current_timeline(void)
{
	TimeLineID timeline;

	if (RecoveryInProgress())
	{
		(void) GetXLogReplayRecPtr(&timeline);
		return timeline;
	}
#if PG_VERSION_NUM >= 150000
	return GetWALInsertionTimeLine();
#else
	return ThisTimeLineID;
#endif
}

/* Newest first: the first entry is the timeline itself.  A timeline without a history file has that one only. */
static XLogRecPtr
beginning_of(TimeLineID timeline)
{
	List *history = readTimeLineHistory(timeline);
	XLogRecPtr beginning = InvalidXLogRecPtr;

	if (list_length(history) > 0)
		beginning = ((TimeLineHistoryEntry *) linitial(history))->begin;
	list_free_deep(history);
	return beginning;
}

Datum
rt_lineage(PG_FUNCTION_ARGS)
{
	static TimeLineID known = 0;
	static XLogRecPtr beginning;
	TimeLineID timeline = current_timeline();

	if (timeline != known)
	{
		beginning = beginning_of(timeline);
		known = timeline;
	}
	PG_RETURN_TEXT_P(cstring_to_text(psprintf(UINT64_FORMAT "-%u-%X/%X-%u", GetSystemIdentifier(), timeline,
											  LSN_FORMAT_ARGS(beginning), MyDatabaseId)));
}

Datum
rt_wal_position(PG_FUNCTION_ARGS)
{
	XLogRecPtr end;

	if (RecoveryInProgress())
		PG_RETURN_LSN(GetXLogReplayRecPtr(NULL));
	end = rt_wal_end();
	XLogFlush(end);
	PG_RETURN_LSN(end);
}
