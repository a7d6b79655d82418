/* wal.c: see wal.h.  Takes the server's spinlock of the insert position, and nothing else. */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"

#include "wal.h"

/* The server tells where the next record begins.  At the start of a page that is behind the page's header, which is
 * not written before the record: to flush that far is an error ("request to flush past end of generated WAL").  The
 * end of the last record is then the page's start. */
XLogRecPtr
rt_wal_end(void)
{
	XLogRecPtr next = GetXLogInsertRecPtr();

	if (next % wal_segment_size == SizeOfXLogLongPHD)
		return next - SizeOfXLogLongPHD;
	if (next % XLOG_BLCKSZ == SizeOfXLogShortPHD)
		return next - SizeOfXLogShortPHD;
	return next;
}
