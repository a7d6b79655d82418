/* hooks.c: notices commands that concern rt's workers, and makes way for them; see hooks.h.
 *
 * CREATE and DROP EXTENSION rt, in whatever way they come about, make the launcher look at the database once they
 * have committed.  Commands that want a database without sessions, or locks on all that rt has, first suspend the
 * database (suspend.c), but only for a user who may run them: others must not be able to disturb.
 *
 * Runs in the backend that runs the command, around it and in its transaction; there it may raise.  At the end of
 * the transaction it only calls what raises nothing.  Order of locks: the workers leave, then rt.messages is
 * locked, then the command takes its own. */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "extension/config/settings.h"
#include "hooks.h"
#include "rt_shmem.h"
#include "suspend.h"

#define EXTENSION_NAME "rt"
#define DEFAULT_TEMPLATE "template1"

static object_access_hook_type previous_object_access_hook;
static ProcessUtility_hook_type previous_utility_hook;

/* True where the transaction created or dropped the extension here. */
static bool extension_changed = false;

/* ---- the extension comes or goes ---------------------------------------------- */

static bool
is_our_name(const char *name)
{
	return name != NULL && strcmp(name, EXTENSION_NAME) == 0;
}

/* The row was written by the command under way, so the catalog caches do not have it yet. */
static bool
is_ours_just_created(Oid oid)
{
	Relation rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool ours;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
	scan = systable_beginscan(rel, ExtensionOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	ours = HeapTupleIsValid(tuple) && is_our_name(NameStr(((Form_pg_extension) GETSTRUCT(tuple))->extname));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return ours;
}

static void
on_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id, void *arg)
{
	if (previous_object_access_hook != NULL)
		previous_object_access_hook(access, class_id, object_id, sub_id, arg);
	if (class_id != ExtensionRelationId)
		return;
	if ((access == OAT_POST_CREATE && is_ours_just_created(object_id)) ||
		(access == OAT_DROP && is_our_name(get_extension_name(object_id))))
	{
		extension_changed = true;
		rt_recheck_at_commit(MyDatabaseId);
	}
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			/* COMMIT PREPARED may come from a session that knows nothing of what it commits. */
			if (extension_changed)
				ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
								errmsg("cannot PREPARE a transaction that created or dropped extension rt")));
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PREPARE:
			extension_changed = false;
			rt_suspend_at_end(event == XACT_EVENT_COMMIT);
			break;
		default:
			break;
	}
}

/* ---- commands ----------------------------------------------------------------- */

static bool
is_database_owner(Oid oid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(DatabaseRelationId, oid, GetUserId());
#else
	return pg_database_ownercheck(oid, GetUserId());
#endif
}

static bool
is_extension_owner(Oid oid)
{
#if PG_VERSION_NUM >= 160000
	return object_ownercheck(ExtensionRelationId, oid, GetUserId());
#else
	return pg_extension_ownercheck(oid, GetUserId());
#endif
}

static const char *
find_option(List *options, const char *name)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *option = lfirst(cell);

		if (strcmp(option->defname, name) == 0)
			return option->arg == NULL ? NULL : defGetString(option);
	}
	return NULL;
}

/* The database that a command wants to have for itself, or NULL. */
static const char *
database_of(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_DropdbStmt:
			return ((DropdbStmt *) stmt)->dbname;
		case T_RenameStmt:
			return ((RenameStmt *) stmt)->renameType == OBJECT_DATABASE ? ((RenameStmt *) stmt)->subname : NULL;
		case T_AlterDatabaseStmt:
			return ((AlterDatabaseStmt *) stmt)->dbname;
		case T_CreatedbStmt:
		{
			const char *template = find_option(((CreatedbStmt *) stmt)->options, "template");

			return template == NULL ? DEFAULT_TEMPLATE : template;
		}
		default:
			return NULL;
	}
}

/* ALTER DATABASE moves it to another tablespace, or it only says something about it. */
static bool
needs_it_empty(Node *stmt)
{
	return !IsA(stmt, AlterDatabaseStmt) || find_option(((AlterDatabaseStmt *) stmt)->options, "tablespace") != NULL;
}

static void
prepare_database_command(Node *stmt)
{
	const char *name = database_of(stmt);
	Oid oid = name == NULL ? InvalidOid : get_database_oid(name, true);

	if (!OidIsValid(oid) || !is_database_owner(oid))
		return;
	rt_recheck_at_commit(oid);
	if (needs_it_empty(stmt))
		rt_suspend_database(oid);
}

/* The copy has rt where the template has it. */
static void
finish_database_command(Node *stmt)
{
	Oid oid;

	if (!IsA(stmt, CreatedbStmt))
		return;
	oid = get_database_oid(((CreatedbStmt *) stmt)->dbname, true);
	if (OidIsValid(oid))
		rt_recheck_at_commit(oid);
}

static bool
names_have(List *names, const char *name)
{
	ListCell *cell;

	foreach (cell, names)
	{
		if (strcmp(strVal(lfirst(cell)), name) == 0)
			return true;
	}
	return false;
}

/* What rt.control requires takes rt with it.  Up to version 1.1 that was pgcrypto too. */
static bool
drops_us_by_extension(const DropStmt *stmt, bool needs_pgcrypto)
{
	if (names_have(stmt->objects, EXTENSION_NAME))
		return true;
	return stmt->behavior == DROP_CASCADE &&
		   ((needs_pgcrypto && names_have(stmt->objects, "pgcrypto")) || names_have(stmt->objects, "plpgsql"));
}

static bool
drops_us_by_schema(const DropStmt *stmt, Oid schema)
{
	ListCell *cell;

	if (stmt->behavior != DROP_CASCADE)
		return false;
	foreach (cell, stmt->objects)
	{
		if (get_namespace_oid(strVal(lfirst(cell)), true) == schema)
			return true;
	}
	return false;
}

static bool
drops_us_by_owner(const DropOwnedStmt *stmt, Oid owner)
{
	ListCell *cell;

	foreach (cell, stmt->roles)
	{
		if (get_rolespec_oid(lfirst(cell), true) == owner)
			return true;
	}
	return false;
}

/* A command that may drop the extension in some way. */
static bool
is_drop_of_interest(Node *stmt)
{
	if (IsA(stmt, DropOwnedStmt))
		return true;
	return IsA(stmt, DropStmt) &&
		   (((DropStmt *) stmt)->removeType == OBJECT_EXTENSION || ((DropStmt *) stmt)->removeType == OBJECT_SCHEMA);
}

static bool
drops_us(Node *stmt)
{
	Relation rel = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple tuple;
	bool drops = false;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum(EXTENSION_NAME));
	scan = systable_beginscan(rel, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_extension row = (Form_pg_extension) GETSTRUCT(tuple);

		if (!is_extension_owner(row->oid))
			drops = false;
		else if (IsA(stmt, DropOwnedStmt))
			drops = drops_us_by_owner((DropOwnedStmt *) stmt, row->extowner);
		else if (((DropStmt *) stmt)->removeType == OBJECT_EXTENSION)
			drops = drops_us_by_extension((DropStmt *) stmt, row->extnamespace != PG_CATALOG_NAMESPACE);
		else
			drops = drops_us_by_schema((DropStmt *) stmt, row->extnamespace);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return drops;
}

/* Whoever sends a message locks this table first and those of rooms and users while it does; the drop would take them
 * in an order of its own. */
static void
lock_writers_out(void)
{
	Oid schema = get_namespace_oid("rt", true);
	Oid messages = OidIsValid(schema) ? get_relname_relid("messages", schema) : InvalidOid;

	if (OidIsValid(messages))
		LockRelationOid(messages, AccessExclusiveLock);
}

/* The drop takes exclusive locks on all tables one by one, which the gateway's transactions could cross. */
static void
prepare_drop(Node *stmt)
{
	if (!is_drop_of_interest(stmt) || rt_database_find(MyDatabaseId, false) == NULL || !drops_us(stmt))
		return;
	rt_suspend_database(MyDatabaseId);
	lock_writers_out();
}

/* PUBLIC has CONNECT on a new database, and no right can be taken from a channel. */
static void
tell_of_listen(void)
{
#if PG_VERSION_NUM >= 160000
	bool open = object_aclcheck(DatabaseRelationId, MyDatabaseId, ACL_ID_PUBLIC, ACL_CONNECT) == ACLCHECK_OK;
#else
	bool open = pg_database_aclcheck(MyDatabaseId, ACL_ID_PUBLIC, ACL_CONNECT) == ACLCHECK_OK;
#endif

	if (open)
		ereport(NOTICE,
				(errmsg("any role may connect to this database and LISTEN to the messages of rt"),
				 errhint("Run \"REVOKE CONNECT ON DATABASE %s FROM PUBLIC\", or set rt.notify_content to off.",
						 quote_identifier(get_database_name(MyDatabaseId)))));
}

/* CREATE EXTENSION wants a schema even for an extension that moves itself to pg_catalog, and finds none where the
 * schema public was dropped.  A script of an older version stays where it is put. */
static PlannedStmt *
with_schema(PlannedStmt *pstmt)
{
	CreateExtensionStmt *stmt = (CreateExtensionStmt *) pstmt->utilityStmt;

	if (!is_our_name(stmt->extname) || find_option(stmt->options, "schema") != NULL ||
		find_option(stmt->options, "new_version") != NULL)
		return pstmt;
	pstmt = copyObject(pstmt);
	stmt = (CreateExtensionStmt *) pstmt->utilityStmt;
	stmt->options = lappend(stmt->options, makeDefElem("schema", (Node *) makeString(pstrdup("pg_catalog")), -1));
	return pstmt;
}

static void
run_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
			ParamListInfo params, QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	if (previous_utility_hook != NULL)
		previous_utility_hook(pstmt, query, read_only_tree, context, params, env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, env, dest, qc);
}

/* In a pooled session the next client would act as this user.  Once a session. */
static void
warn_of_lasting_user(Node *statement)
{
	static bool warned = false;
	VariableSetStmt *set = (VariableSetStmt *) statement;

	if (!rt_pooled_sessions || warned || !IsA(statement, VariableSetStmt) || set->kind != VAR_SET_VALUE ||
		set->is_local || pg_strcasecmp(set->name, "rt.user_id") != 0)
		return;
	warned = true;
	ereport(WARNING, (errcode(ERRCODE_WARNING), errmsg("rt.user_id outlives the transaction in a pooled session"),
					  errdetail("The next client of the session acts as this user."),
					  errhint("Use SET LOCAL in each transaction. See rt.pooled_sessions.")));
}

static void
on_utility(PlannedStmt *pstmt, const char *query, bool read_only_tree, ProcessUtilityContext context,
		   ParamListInfo params, QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	Node *stmt = pstmt->utilityStmt;
	bool on_database =
		IsA(stmt, DropdbStmt) || IsA(stmt, RenameStmt) || IsA(stmt, AlterDatabaseStmt) || IsA(stmt, CreatedbStmt);

	/* Without a transaction that can look things up, the command will fail by itself. */
	if (IsTransactionState())
	{
		if (on_database)
			prepare_database_command(stmt);
		else
			prepare_drop(stmt);
	}
	if (IsA(stmt, CreateExtensionStmt))
		pstmt = with_schema(pstmt);
	run_utility(pstmt, query, read_only_tree, context, params, env, dest, qc);
	if (IsA(stmt, CreateExtensionStmt) && is_our_name(((CreateExtensionStmt *) stmt)->extname) && extension_changed &&
		rt_notify_content)
		tell_of_listen();
	warn_of_lasting_user(stmt);
	if (on_database && IsTransactionState())
		finish_database_command(stmt);
}

void
rt_hooks_install(void)
{
	previous_object_access_hook = object_access_hook;
	object_access_hook = on_object_access;
	previous_utility_hook = ProcessUtility_hook;
	ProcessUtility_hook = on_utility;
	RegisterXactCallback(on_transaction, NULL);
}
