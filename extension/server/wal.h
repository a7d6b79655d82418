/* wal.h: how far the WAL goes. */
#ifndef RT_WAL_H
#define RT_WAL_H

#include "postgres.h"

#include "access/xlogdefs.h"

/* The end of all records that any session has inserted, as XLogFlush() takes it.  Not during recovery. */
extern XLogRecPtr rt_wal_end(void);

#endif
