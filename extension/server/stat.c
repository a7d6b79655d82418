/* stat.c: what shared memory tells of rt's workers and programs.  The workers write it; here are the SQL functions
 * that show it.  They run in any backend.  The slot's programs are copied under rt_database.lock, so that rows are
 * made, and may raise, without it. */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"

#include "rt_shmem.h"
#include "bgworker/worker/clock.h"

#define PROGRAM_COLUMNS 6
#define SILENCE_COLUMNS 2
#define KIND_MEDIA 1

PG_FUNCTION_INFO_V1(rt_stat_programs);
PG_FUNCTION_INFO_V1(rt_stat_silence);

/* For how long a worker has not turned; -1: it does not run. */
static int64
silence_us(pg_atomic_uint64 *turned)
{
	uint64 at = pg_atomic_read_u64(turned);

	return at == 0 ? -1 : Max((int64) (rt_clock_us() - at), 0);
}

/* What a supervisor that hangs has written last may be over. */
static const char *
state_name(const rt_program *program, bool watched)
{
	if (!watched && program->pid != 0)
		return "unwatched";
	switch (program->state)
	{
		case 0:
			return "waiting";
		case 1:
			return program->ready ? "ready" : "starting";
		case 3:
			return "draining";
		case 4:
			return "silent";
		default:
			return "stopping";
	}
}

static void
put_program(ReturnSetInfo *rsinfo, const rt_program *program, bool watched)
{
	Datum values[PROGRAM_COLUMNS];
	bool nulls[PROGRAM_COLUMNS] = {false};

	values[0] = CStringGetTextDatum(program->kind == KIND_MEDIA ? "media" : "gateway");
	values[1] = Int32GetDatum(program->worker);
	values[2] = Int32GetDatum(program->pid);
	nulls[2] = program->pid == 0;
	values[3] = CStringGetTextDatum(state_name(program, watched));
	values[4] = Int32GetDatum(program->restarts);
	values[5] = TimestampTzGetDatum(program->since);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
start_rows(FunctionCallInfo fcinfo)
{
#if PG_VERSION_NUM >= 160000
	InitMaterializedSRF(fcinfo, 0);
#elif PG_VERSION_NUM >= 150000
	SetSingleFuncCall(fcinfo, 0);
#else
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext old;

	if (rsinfo == NULL || !IsA(rsinfo, ReturnSetInfo) || (rsinfo->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("materialize mode required")));
	old = MemoryContextSwitchTo(rsinfo->econtext->ecxt_per_query_memory);
	if (get_call_result_type(fcinfo, NULL, &rsinfo->setDesc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	rsinfo->setDesc = CreateTupleDescCopy(rsinfo->setDesc);
	rsinfo->setResult = tuplestore_begin_heap(true, false, work_mem);
	rsinfo->returnMode = SFRM_Materialize;
	MemoryContextSwitchTo(old);
#endif
}

/* rt.stat_programs() */
Datum
rt_stat_programs(PG_FUNCTION_ARGS)
{
	rt_database *db = rt_shared_state == NULL ? NULL : rt_database_find(MyDatabaseId, false);
	rt_program programs[RT_MAX_PROGRAMS];
	bool watched;

	start_rows(fcinfo);
	if (db == NULL)
		PG_RETURN_NULL();
	LWLockAcquire(&db->lock, LW_SHARED);
	memcpy(programs, db->programs, sizeof(programs));
	LWLockRelease(&db->lock);
	watched = silence_us(&db->supervisor_turned) < RT_SILENT_MS * INT64CONST(1000);
	for (int i = 0; i < RT_MAX_PROGRAMS; i++)
	{
		if (programs[i].used)
			put_program((ReturnSetInfo *) fcinfo->resultinfo, &programs[i], watched);
	}
	PG_RETURN_NULL();
}

static void
put_silence(pg_atomic_uint64 *turned, Datum *value, bool *isnull)
{
	int64 us = silence_us(turned);

	*isnull = us < 0;
	*value = Int64GetDatum(us);
}

/* rt_private.stat_silence() */
Datum
rt_stat_silence(PG_FUNCTION_ARGS)
{
	rt_database *db = rt_shared_state == NULL ? NULL : rt_database_find(MyDatabaseId, false);
	Datum values[SILENCE_COLUMNS];
	bool nulls[SILENCE_COLUMNS] = {true, true};
	TupleDesc desc;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	if (db != NULL)
	{
		put_silence(&rt_shared_state->launcher_turned, &values[0], &nulls[0]);
		put_silence(&db->supervisor_turned, &values[1], &nulls[1]);
	}
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
