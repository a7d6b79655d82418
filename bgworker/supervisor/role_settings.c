/* role_settings.c: gives the programs' roles the settings that they need, and takes all others away; see
 * role_settings.h.
 *
 * A role may set what it likes for itself, so a thief of its password could leave something behind (statement_timeout
 * = '1ms'), which outlives the password.  What is set for a database or for all roles is a DBA's, and is weaker than
 * what is set for a role: so the settings here also keep such limits, or session_replication_role = replica, from
 * stopping the programs.
 *
 * Runs in the supervisor, in a transaction; may raise.  Writes the rows of pg_db_role_setting itself: ALTER ROLE
 * would take a statement for each, and a statement would show in logs. */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_db_role_setting.h"
#include "lib/stringinfo.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "bgworker/common/db/session_settings.h"
#include "role_settings.h"

/* The parameters of a program's statements are clients' passwords and tokens: extension/server/discretion.c. */
static const char *const WANTED[][2] = {
	{"log_parameter_max_length", "0"},
	{"log_parameter_max_length_on_error", "0"},
	{"pgaudit.log_parameter", "off"},
#if PG_VERSION_NUM >= 160000
	{"auto_explain.log_parameter_max_length", "0"},
#endif
	{"lock_timeout", "0"},
	{"row_security", "on"},
	RT_SERVER_SETTINGS,
	RT_SESSION_SETTINGS,
#if PG_VERSION_NUM >= 170000
	RT_SESSION_SETTINGS_17,
#endif
};

static ArrayType *
make_wanted(void)
{
	ArrayType *wanted = NULL;

	for (size_t i = 0; i < lengthof(WANTED); i++)
		wanted = GUCArrayAdd(wanted, WANTED[i][0], WANTED[i][1]);
	return wanted;
}

/* "statement_timeout, work_mem": what somebody else has set. */
static void
append_others(StringInfo out, Datum settings)
{
	Datum *items;
	int count;

	deconstruct_array(DatumGetArrayTypeP(settings), TEXTOID, -1, false, TYPALIGN_INT, &items, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char *item = TextDatumGetCString(items[i]);
		bool ours = false;

		for (size_t w = 0; w < lengthof(WANTED); w++)
			ours = ours || strcmp(item, psprintf("%s=%s", WANTED[w][0], WANTED[w][1])) == 0;
		if (!ours)
			appendStringInfo(out, "%s%s", out->len > 0 ? ", " : "", item);
	}
}

static bool
is_as_wanted(Relation rel, HeapTuple tuple, ArrayType *wanted)
{
	bool everywhere = ((Form_pg_db_role_setting) GETSTRUCT(tuple))->setdatabase == InvalidOid;
	bool isnull;
	Datum settings = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig, RelationGetDescr(rel), &isnull);

	return everywhere && !isnull &&
		   datumIsEqual(PointerGetDatum(DatumGetArrayTypeP(settings)), PointerGetDatum(wanted), false, -1);
}

/* True where the row is as it should be; others are removed. */
static bool
keep_or_remove(Relation rel, HeapTuple tuple, ArrayType *wanted, StringInfo others)
{
	bool isnull;
	Datum settings = heap_getattr(tuple, Anum_pg_db_role_setting_setconfig, RelationGetDescr(rel), &isnull);

	if (is_as_wanted(rel, tuple, wanted))
		return true;
	if (!isnull)
		append_others(others, settings);
	CatalogTupleDelete(rel, &tuple->t_self);
	return false;
}

static void
insert(Relation rel, Oid role, ArrayType *wanted)
{
	Datum values[Natts_pg_db_role_setting];
	bool nulls[Natts_pg_db_role_setting] = {false};

	values[Anum_pg_db_role_setting_setdatabase - 1] = ObjectIdGetDatum(InvalidOid);
	values[Anum_pg_db_role_setting_setrole - 1] = ObjectIdGetDatum(role);
	values[Anum_pg_db_role_setting_setconfig - 1] = PointerGetDatum(wanted);
	CatalogTupleInsert(rel, heap_form_tuple(RelationGetDescr(rel), values, nulls));
}

/* The index begins with the database, so it is no help. */
static SysScanDesc
begin_scan(Relation rel, Oid role)
{
	ScanKeyData key;

	ScanKeyInit(&key, Anum_pg_db_role_setting_setrole, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(role));
	return systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
}

bool
rt_role_settings_are_right(Oid role)
{
	Relation rel = table_open(DbRoleSettingRelationId, AccessShareLock);
	ArrayType *wanted = make_wanted();
	SysScanDesc scan = begin_scan(rel, role);
	bool right = true;
	int rows = 0;
	HeapTuple tuple;

	for (; HeapTupleIsValid(tuple = systable_getnext(scan)); rows++)
		right = right && is_as_wanted(rel, tuple, wanted);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return right && rows == 1;
}

void
rt_role_settings_reset(Oid role, const char *name)
{
	Relation rel = table_open(DbRoleSettingRelationId, RowExclusiveLock);
	ArrayType *wanted = make_wanted();
	bool kept = false;
	StringInfoData others;
	SysScanDesc scan;
	HeapTuple tuple;

	initStringInfo(&others);
	scan = begin_scan(rel, role);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		kept = keep_or_remove(rel, tuple, wanted, &others) || kept;
	systable_endscan(scan);
	if (!kept)
	{
		CommandCounterIncrement();
		insert(rel, role, wanted);
	}
	table_close(rel, NoLock);
	if (others.len > 0)
		ereport(LOG, (errmsg("removed settings of role \"%s\"", name), errdetail("%s", others.data),
					  errhint("To change a setting of the programs, use ALTER DATABASE … SET.")));
}
