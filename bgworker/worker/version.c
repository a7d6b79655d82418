/* version.c: compares the extension's version with the library's; see version.h.
 *
 * After an update of the package the programs are newer than the SQL that they call, until a DBA updates the
 * extension.  What would go wrong then is unknown, so they wait.  The relay goes on, with the queries that the
 * older SQL has.
 *
 * rt_version_matches() runs in the supervisor, in a transaction of its own, rt_version_has_places() in the relay,
 * in the relay's.  Both may raise.  They read catalogs under their AccessShareLock. */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "bgworker/common/version.h"
#include "tx.h"
#include "version.h"

static char *
version_of(HeapTuple tuple, Relation catalog)
{
	bool isnull;
	Datum value = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(catalog), &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

/* NULL where the database does not have the extension. */
static char *
installed_version(void)
{
	Relation catalog = table_open(ExtensionRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple tuple;
	char *version;

	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ, CStringGetDatum("rt"));
	scan = systable_beginscan(catalog, ExtensionNameIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	version = HeapTupleIsValid(tuple) ? version_of(tuple, catalog) : NULL;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return version;
}

bool
rt_version_has_places(void)
{
	return OidIsValid(get_relname_relid("deleted_messages", get_namespace_oid("rt", true)));
}

static void
tell(const char *database, const char *version)
{
	ereport(WARNING,
			(errmsg("extension rt has version %s in database \"%s\", its library is version %s", version, database,
					RT_VERSION),
			 errdetail("The gateway and the media forwarder of this database start when the versions match."),
			 errhint("Run \"ALTER EXTENSION rt UPDATE\" in this database.")));
}

bool
rt_version_matches(const char *database)
{
	static bool told = false;
	bool matches;
	char *version;

	rt_tx_begin("looks at the version of the extension");
	version = installed_version();
	matches = version != NULL && strcmp(version, RT_VERSION) == 0;
	if (version != NULL && !matches && !told)
	{
		tell(database, version);
		told = true;
	}
	rt_tx_commit();
	return matches;
}
