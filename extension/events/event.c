/* event.c: emits events, and takes them through a transaction: kept until it is decided, in the ring by the time
 * that it can no longer fail, published once it has committed.  How they are kept is pending.c's, how they lie in
 * the ring ring.c's.
 *
 * Runs in the backend that writes.  Parallel workers cannot emit: rt_private.emit is not parallel safe, and
 * nothing that writes is.  Memory is TopTransactionContext's.
 *
 * Emitting and PRE_COMMIT may raise.  COMMIT and ABORT neither allocate nor raise: the transaction is decided.
 * Invariant: whatever PRE_COMMIT did, a reservation or a refusal, exactly one of COMMIT and ABORT undoes or
 * finishes it, also when the commit fails in between.
 *
 * The record is reserved while the transaction holds its row locks.  So records that concern the same row lie in
 * the ring in the order of the commits. */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "early.h"
#include "event.h"
#include "pending.h"
#include "ring.h"
#include "extension/config/settings.h"

#define MAX_NAME 64
#define COMMAND_PREFIX "rt:"
#define MEDIA_PREFIX "rt:media-"
#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-"

/* What has become of this transaction's events. */
enum stage
{
	COLLECTING,
	RESERVED, /* their record lies in the ring, undecided */
	LEFT_OUT  /* there was no place */
};

/* The open transaction's.  pending is in its memory context. */
static struct
{
	struct rt_pending *pending; /* NULL: no event yet */
	bool sort;
	bool message;   /* one was a message, so a room's row is locked */
	bool early;     /* the locks go before the commit is durable: early.c */
	bool committed; /* early: the commit is decided, and not durable yet */
	bool commands;  /* an event was for the gateways themselves, though it may have been rolled back */
	enum stage stage;
	uint64 pos; /* of the record, if RESERVED */
} current;

/* This session's database; its slot stays as long as somebody is connected to it. */
static rt_database *own_slot;

PG_FUNCTION_INFO_V1(rt_emit);
PG_FUNCTION_INFO_V1(rt_check_served);

void
rt_event_require_loaded(void)
{
	if (rt_shared_state == NULL)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("rt is not loaded"),
						errhint("Add \"rt\" to shared_preload_libraries and restart the server.")));
}

static void
warn_not_loaded(void)
{
	ereport(WARNING, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					  errmsg("rt is not loaded: clients are not notified of this session's changes"),
					  errhint("Add \"rt\" to shared_preload_libraries and restart the server.")));
}

static void
warn_no_slot(void)
{
	ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					  errmsg("rt does not serve this database: clients are not notified of this session's changes"),
					  errdetail("rt serves at most %d databases.", rt_max_databases),
					  errhint("Raise rt.max_databases and restart the server.")));
}

/* Whether events can leave this session.  Where they cannot, rows are stored all the same, as under
 * rt.suppress_events: a restore loads everything wherever it runs.  The session is told once. */
static bool
is_served(void)
{
	static bool told = false;

	if (own_slot == NULL && rt_shared_state != NULL)
		own_slot = rt_database_find(MyDatabaseId, true);
	if (own_slot != NULL)
		return true;
	if (!told)
	{
		told = true;
		if (rt_shared_state == NULL)
			warn_not_loaded();
		else
			warn_no_slot();
	}
	return false;
}

/* rt_private.check_served(): the warning, if there is cause for one; for CREATE EXTENSION. */
Datum
rt_check_served(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(is_served());
}

/* Whether this is a gateway's session, or acts as one. */
static bool
serves_clients(void)
{
	static Oid asked_for = InvalidOid;
	static bool serves;
	Oid user = GetSessionUserId();

	if (user != asked_for)
	{
		Oid gateway = get_role_oid("rt_gateway", true);

		serves = OidIsValid(gateway) && is_member_of_role_nosuper(user, gateway);
		asked_for = user;
	}
	return serves;
}

static struct rt_pending *
open_pending(void)
{
	MemoryContext before;

	if (current.pending != NULL)
		return current.pending;
	if (IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE), errmsg("cannot emit events in a parallel worker")));
	/* The ring has no reader during recovery; by promotion the event would be stale. */
	if (RecoveryInProgress())
		ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION), errmsg("cannot emit events during recovery"),
						errhint("Connect to the primary.")));
	before = MemoryContextSwitchTo(TopTransactionContext);
	current.pending = rt_pending_new(own_slot->ring.size / 8, rt_ring_max_body(own_slot));
	MemoryContextSwitchTo(before);
	return current.pending;
}

/* Of those for gateways the ones that must not be missed.  Requests to media workers, which are many, are in a table,
 * too, and whoever waits for an answer does so for a few seconds. */
static bool
is_command(const char *name)
{
	return strncmp(name, COMMAND_PREFIX, strlen(COMMAND_PREFIX)) == 0 &&
		   strncmp(name, MEDIA_PREFIX, strlen(MEDIA_PREFIX)) != 0;
}

static void
check_stage(void)
{
	if (current.stage != COLLECTING)
		elog(ERROR, "event emitted while the transaction commits");
}

void
rt_event_emit(const struct rt_event *event)
{
	struct rt_ring_event head = {0};

	if (rt_suppress_events || !is_served())
		return;
	check_stage();
	head.flags = event->logged ? RT_EVENT_LOGGED : 0;
	head.name_len = event->name_len;
	head.route_len = event->route_len;
	head.payload_len = event->payload_len;
	head.room_id = event->room_id;
	head.seq = event->seq;
	head.seq_to = event->seq;
	if (is_command(event->name))
		current.commands = true;
	rt_pending_add(open_pending(), &head, event->name, event->route, event->payload,
				   GetCurrentTransactionNestLevel());
}

void
rt_event_emit_message(int64 room_id, int64 seq, const char *payload, Size payload_len)
{
	struct rt_ring_event head = {0};

	if (rt_suppress_events || !is_served())
		return;
	check_stage();
	current.message = true;
	head.flags = RT_EVENT_LOGGED | RT_EVENT_MESSAGE;
	head.payload_len = payload_len;
	head.room_id = room_id;
	head.seq = seq;
	head.seq_to = seq;
	rt_pending_add(open_pending(), &head, NULL, NULL, payload, GetCurrentTransactionNestLevel());
}

void
rt_event_sort_messages(void)
{
	current.sort = true;
}

static void
forget(void)
{
	current.pending = NULL;
	current.sort = false;
	current.message = false;
	current.early = false;
	current.committed = false;
	current.commands = false;
	current.stage = COLLECTING;
}

/* Still able to fail: everything that needs memory or a lock is done here. */
static void
reserve(void)
{
	const char *body;
	Size len;

	if (current.sort)
		rt_pending_sort(current.pending);
	body = rt_pending_body(current.pending, &len);
	if (rt_pending_overflowed(current.pending))
	{
		rt_ring_refuse(own_slot);
		current.stage = LEFT_OUT;
	}
	else if (len > 0)
		current.stage = rt_ring_reserve(own_slot, body, len, &current.pos) ? RESERVED : LEFT_OUT;
}

/* Of a session that LISTENs the server itself runs transactions between commands, in which it reads notifications. */
static bool
is_between_commands(void)
{
	return MyBEEntry != NULL && MyBEEntry->st_state == STATE_IDLE;
}

/* What a gateway's session has read goes to clients.  A transaction that writes and waits for its commit waits for
 * all that it has seen, too.  Notifications are of what is durable: the relay has waited, and a transaction with
 * notifications of its own commits as usual. */
static void
wait_for_what_was_read(void)
{
	if (is_between_commands())
		return;
	if (TransactionIdIsValid(GetTopTransactionIdIfAny()) && synchronous_commit > SYNCHRONOUS_COMMIT_OFF)
		return;
	if (own_slot == NULL && rt_shared_state != NULL)
		own_slot = rt_database_find(MyDatabaseId, false);
	if (own_slot != NULL && rt_early_is_any(own_slot) && serves_clients())
		rt_early_wait(own_slot);
}

static void
before_commit(void)
{
	wait_for_what_was_read();
	if (current.pending == NULL)
		return;
	reserve();
	if (current.message && current.stage != COLLECTING)
		current.early = rt_early_begin(own_slot);
}

static void
decide(bool committed)
{
	if (current.stage == LEFT_OUT)
		rt_ring_dropped(own_slot, committed, current.commands);
	else if (current.stage == RESERVED && committed)
		rt_ring_publish(own_slot, current.pos);
	else if (current.stage == RESERVED)
		rt_ring_abort(own_slot, current.pos);
	forget();
}

static void
on_commit(void)
{
	if (!current.early)
	{
		decide(true);
		return;
	}
	rt_early_commit();
	current.committed = true;
}

static void
on_abort(void)
{
	if (current.early)
		rt_early_abort(own_slot);
	decide(false);
}

/* Of the transaction's owners the first one that comes here finds all locks released: they go in the phase before, in
 * one step for all. */
static void
on_release(ResourceReleasePhase phase, bool is_commit, bool is_top, void *arg)
{
	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !current.committed)
		return;
	rt_early_finish(own_slot);
	decide(true);
}

/* Another session commits a prepared transaction, long after: its events would have to be kept on disk. */
static void
refuse_prepare(void)
{
	Size len;

	if (current.pending == NULL)
		return;
	rt_pending_body(current.pending, &len);
	if (len == 0 && !rt_pending_overflowed(current.pending))
		return;
	ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					errmsg("cannot PREPARE a transaction that has events for clients of rt"),
					errhint("Commit it in one phase, or set rt.suppress_events.")));
}

static void
on_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			before_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			refuse_prepare();
			break;
		case XACT_EVENT_COMMIT:
			on_commit();
			break;
		case XACT_EVENT_ABORT:
			on_abort();
			break;
		case XACT_EVENT_PREPARE:
			forget();
			break;
		default:
			break;
	}
}

static void
on_subtransaction(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (current.pending == NULL)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB)
		rt_pending_subcommit(current.pending, GetCurrentTransactionNestLevel());
	else if (event == SUBXACT_EVENT_ABORT_SUB)
		rt_pending_subabort(current.pending, GetCurrentTransactionNestLevel());
}

void
rt_event_install(void)
{
	RegisterXactCallback(on_transaction, NULL);
	RegisterSubXactCallback(on_subtransaction, NULL);
	RegisterResourceReleaseCallback(on_release, NULL);
}

static void
check_name(const char *name, Size len)
{
	if (len >= 1 && len <= MAX_NAME && strspn(name, NAME_CHARACTERS) == len)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid event name"),
			 errdetail("A name consists of 1 to %d of the characters A-Z, a-z, 0-9, \"_\", \".\", \":\" and \"-\".",
					   MAX_NAME)));
}

/* The text of an argument of type json, which must be an object, from its brace on. */
static char *
object_argument(FunctionCallInfo fcinfo, int n, const char *what)
{
	char *object = text_to_cstring(PG_GETARG_TEXT_PP(n));

	object += strspn(object, " \t\r\n");
	if (*object != '{')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s of an event must be a JSON object", what)));
	return object;
}

/* rt_private.emit(event text, route json, payload json, logged boolean, room_id bigint, seq bigint) */
Datum
rt_emit(PG_FUNCTION_ARGS)
{
	struct rt_event event = {0};
	char *name;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("name, route and payload of an event must not be null")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	event.name = name;
	event.name_len = strlen(name);
	check_name(name, event.name_len);
	event.route = object_argument(fcinfo, 1, "route");
	event.route_len = strlen(event.route);
	event.payload = object_argument(fcinfo, 2, "payload");
	event.payload_len = strlen(event.payload);
	event.logged = PG_ARGISNULL(3) || PG_GETARG_BOOL(3);
	event.room_id = PG_ARGISNULL(4) ? 0 : PG_GETARG_INT64(4);
	event.seq = PG_ARGISNULL(5) ? 0 : PG_GETARG_INT64(5);
	rt_event_emit(&event);
	PG_RETURN_VOID();
}
