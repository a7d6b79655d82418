# RtCatalog: all that the catalog knows of the extension in a database, one line a fact, without object identifiers; two
# databases whose lines are the same have the same extension.
#
#   my @lines = RtCatalog::lines($cluster, 'rt');
package RtCatalog;

use strict;
use warnings;

# A null list of rights means the default ones, and the order in a list means nothing.
my $HELPERS = <<'END';
CREATE FUNCTION pg_temp.rights(kind "char", acl aclitem[], owner oid) RETURNS text LANGUAGE sql AS $$
	SELECT coalesce(string_agg(r, ' ' ORDER BY r), 'none') FROM (
		SELECT coalesce(grantee::regrole::text, '?') || ':' || privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END AS r
		FROM aclexplode(coalesce(acl, acldefault(kind, owner)))) AS x
$$;
CREATE TEMP VIEW ext AS SELECT * FROM pg_extension WHERE extname = 'rt';
CREATE TEMP VIEW member AS SELECT d.classid, d.objid FROM pg_depend AS d, ext
	WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = ext.oid AND d.deptype = 'e';
CREATE TEMP VIEW ns AS SELECT oid FROM pg_namespace WHERE nspname IN ('rt', 'rt_api', 'rt_private');
CREATE TEMP VIEW rel AS SELECT c.* FROM pg_class AS c WHERE c.relnamespace IN (SELECT oid FROM ns);
END

# Of each kind: what is told of one, and where it comes from.
my @FACTS = (
	[ 'extension', 'extversion, extrelocatable, extnamespace::regnamespace, extowner::regrole', 'ext' ],
	[ 'member', 'pg_describe_object(classid, objid, 0)', 'member' ],
	[ 'comment', 'pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description', q{pg_description AS d
		WHERE (d.classoid, d.objoid) IN (SELECT classid, objid FROM member)
			OR d.classoid = 'pg_class'::regclass AND d.objoid IN (SELECT oid FROM rel)
			OR d.classoid = 'pg_trigger'::regclass AND d.objoid IN (SELECT oid FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM rel))
			OR d.classoid = 'pg_policy'::regclass AND d.objoid IN (SELECT oid FROM pg_policy WHERE polrelid IN (SELECT oid FROM rel))
			OR d.classoid = 'pg_constraint'::regclass AND d.objoid IN (SELECT oid FROM pg_constraint WHERE conrelid IN (SELECT oid FROM rel))} ],
	[ 'dumped', 'c::regclass, w', 'ext, unnest(extconfig, extcondition) AS u (c, w)' ],
	[ 'initial rights', q{pg_describe_object(i.classoid, i.objoid, i.objsubid), i.privtype, pg_temp.rights('r', i.initprivs, 10)},
		'pg_init_privs AS i WHERE (i.classoid, i.objoid) IN (SELECT classid, objid FROM member)' ],
	[ 'schema', q{nspname, nspowner::regrole, pg_temp.rights('n', nspacl, nspowner)}, "pg_namespace WHERE oid IN (SELECT oid FROM ns)" ],
	[ 'default rights', q{defaclnamespace::regnamespace, defaclobjtype, pg_temp.rights('f', defaclacl, defaclrole)}, 'pg_default_acl' ],
	[ 'function', q{p.oid::regprocedure, p.proowner::regrole, pg_temp.rights('f', p.proacl, p.proowner), p.proleakproof, p.probin,
		pg_get_functiondef(p.oid)}, 'pg_proc AS p WHERE p.pronamespace IN (SELECT oid FROM ns)' ],
	[ 'relation', q{c.oid::regclass, c.relkind, c.relpersistence, c.relreplident, c.relowner::regrole, c.relrowsecurity, c.relforcerowsecurity,
		c.reloptions, CASE WHEN c.relkind <> 'i' THEN pg_temp.rights(CASE c.relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, c.relacl, c.relowner) END},
		'rel AS c' ],
	[ 'column', q{a.attrelid::regclass, rank() OVER (PARTITION BY a.attrelid ORDER BY a.attnum), a.attname, format_type(a.atttypid, a.atttypmod),
		a.attcollation::regcollation, a.attnotnull, a.attidentity, a.attgenerated, a.attstorage, a.attcompression, coalesce(a.attstattarget, -1),
		pg_get_expr(d.adbin, d.adrelid), CASE WHEN a.attacl IS NOT NULL THEN pg_temp.rights('c', a.attacl, c.relowner) END},
		q{rel AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum WHERE c.relkind <> 'i'} ],
	[ 'constraint', 'c.conrelid::regclass, c.conname, c.convalidated, pg_get_constraintdef(c.oid)',
		'pg_constraint AS c WHERE c.conrelid IN (SELECT oid FROM rel)' ],
	[ 'index', 'pg_get_indexdef(i.indexrelid), i.indisclustered, i.indisreplident, i.indisvalid',
		'pg_index AS i WHERE i.indrelid IN (SELECT oid FROM rel)' ],
	[ 'trigger', 'pg_get_triggerdef(t.oid), t.tgenabled', 'pg_trigger AS t WHERE t.tgrelid IN (SELECT oid FROM rel) AND NOT t.tgisinternal' ],
	[ 'constraint trigger', 'c.conrelid::regclass, c.conname, t.tgrelid::regclass, t.tgfoid::regproc, t.tgenabled',
		'pg_trigger AS t JOIN pg_constraint AS c ON c.oid = t.tgconstraint WHERE t.tgrelid IN (SELECT oid FROM rel) AND t.tgisinternal' ],
	[ 'policy', q{p.polrelid::regclass, p.polname, p.polcmd, p.polpermissive, (SELECT array_agg(r::regrole::text ORDER BY 1) FROM unnest(p.polroles) AS r),
		pg_get_expr(p.polqual, p.polrelid), '/', pg_get_expr(p.polwithcheck, p.polrelid)}, 'pg_policy AS p WHERE p.polrelid IN (SELECT oid FROM rel)' ],
	[ 'rule', 'r.ev_class::regclass, pg_get_ruledef(r.oid), r.ev_enabled', 'pg_rewrite AS r WHERE r.ev_class IN (SELECT oid FROM rel)' ],
	[ 'sequence', 'seqrelid::regclass, seqtypid::regtype, seqstart, seqincrement, seqmax, seqmin, seqcache, seqcycle',
		'pg_sequence WHERE seqrelid IN (SELECT oid FROM rel)' ],
	[ 'type', q{t.oid::regtype, t.typtype, t.typowner::regrole, pg_temp.rights('T', t.typacl, t.typowner),
		(SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid), pg_get_constraintdef(k.oid)},
		'pg_type AS t LEFT JOIN pg_constraint AS k ON k.contypid = t.oid WHERE t.typnamespace IN (SELECT oid FROM ns)' ],
	[ 'statistics', 'pg_get_statisticsobjdef(oid)', 'pg_statistic_ext WHERE stxrelid IN (SELECT oid FROM rel)' ],
);

# A fact stays on one line.
sub lines
{
	my ($cluster, $dbname) = @_;
	my $all = join("\nUNION ALL ", map { "SELECT concat_ws(' ', '$_->[0]', $_->[1]) FROM $_->[2]" } @FACTS);
	my $sql = "SET search_path = pg_catalog;\n$HELPERS\nSELECT replace(fact, E'\\n', E'\\x01') FROM ($all) AS f (fact) ORDER BY 1";
	return split /\n/, $cluster->sql($sql, dbname => $dbname);
}

# What each has that the other lacks, as diff shows it.
sub differences
{
	my ($old, $new) = @_;
	my %old = map { $_ => 1 } @$old;
	my %new = map { $_ => 1 } @$new;
	return (map({ "- $_" } grep { !$new{$_} } @$old), map({ "+ $_" } grep { !$old{$_} } @$new));
}

1;
