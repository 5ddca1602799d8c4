-- pleiad.snapshot() is the whole schema as one JSON value: what the proxy plans from. Each part is an object of
-- arrays of one length, a column each: building them costs a fraction of an object a row. Go's
-- DecodeSnapshot is its reader. An oid would be written as a string, a bigint is a number.

-- The worst volatility of the functions an expression tree calls. SQL functions without parentheses
-- (CURRENT_DATE …) and conversions through text are stable, an identity column's own value is volatile.
CREATE OR REPLACE FUNCTION pleiad.tree_volatility(tree text) RETURNS "char"
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT CASE
    WHEN tree LIKE '%{NEXTVALUEEXPR %' OR max(f.worst) = 2 THEN 'v'
    WHEN tree ~ '\{(SQLVALUEFUNCTION|COERCEVIAIO|COERCETODOMAIN|XMLEXPR) ' OR max(f.worst) = 1 THEN 's'
    ELSE 'i' END::"char"
  FROM (SELECT CASE p.provolatile WHEN 'i' THEN 0 WHEN 's' THEN 1 ELSE 2 END AS worst
        FROM regexp_matches(tree, ':(?:op)?funcid ([0-9]+)', 'g') m
        JOIN pg_proc p ON p.oid = m[1]::oid) f
$$;

CREATE OR REPLACE FUNCTION pleiad.snapshot() RETURNS json
LANGUAGE sql STABLE
SET search_path = pg_catalog SET "DateStyle" = 'ISO, YMD' SET "IntervalStyle" = 'postgres'
SET extra_float_digits = 3 SET bytea_output = 'hex' SET quote_all_identifiers = off SET jit = off AS $$
WITH nsp AS MATERIALIZED (
  SELECT oid, nspname FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname !~ '^pleiad(_[0-9]+)?$' AND nspname <> 'information_schema'
), rel AS MATERIALIZED (
  SELECT c.oid, n.nspname, c.relname, c.relowner, c.relkind, c.relpersistence, c.relispartition, c.relhasrules,
         c.relrowsecurity, c.relhastriggers, c.relacl, c.relnamespace
  FROM pg_class c JOIN nsp n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
), rels AS (
  SELECT json_build_object(
    'oid', array_agg(r.oid::int8), 'nsp', array_agg(r.nspname), 'name', array_agg(r.relname),
    'owner', array_agg(pg_get_userbyid(r.relowner)), 'kind', array_agg(r.relkind),
    'rules', array_agg(r.relhasrules AND EXISTS (  -- relhasrules stays when the last rule is dropped
      SELECT FROM pg_rewrite w WHERE w.ev_class = r.oid AND w.ev_type <> '1')),
    'nothing', array_agg(CASE WHEN r.relhasrules THEN (  -- events whose every rule is DO INSTEAD NOTHING
      SELECT string_agg(e, '') FROM (
        SELECT w.ev_type::text AS e FROM pg_rewrite w WHERE w.ev_class = r.oid AND w.ev_type <> '1' GROUP BY w.ev_type
        HAVING bool_and(w.is_instead AND w.ev_qual::text = '<>' AND pg_get_ruledef(w.oid) ~ 'DO INSTEAD NOTHING;$'
          AND w.ev_enabled IN ('O', 'A'))) n) END), 'rls', array_agg(r.relrowsecurity),
    'group', array_agg(coalesce(s.group_id, 0)), 'reference', array_agg(f.relid IS NOT NULL),
    'everywhere', array_agg(s.relid IS NOT NULL OR f.relid IS NOT NULL OR e.relid IS NOT NULL),
    'partition', array_agg(r.relispartition),
    'children', array_agg(r.relkind IN ('r', 'f') AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = r.oid)), 'unlogged', array_agg(r.relpersistence = 'u'),
    'found', array_agg(s.relid IS NOT NULL AND has_schema_privilege('public', r.relnamespace, 'USAGE')),
    -- As CREATE TABLE leaves it, with the partitions here: who may use the one may use the others.
    'ungranted', array_agg(s.relid IS NOT NULL AND r.relacl IS NULL AND has_schema_privilege(r.relowner, r.relnamespace, 'USAGE')
      AND NOT EXISTS (SELECT FROM pg_default_acl WHERE defaclobjtype = 'r')
      AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attacl IS NOT NULL)
      AND NOT EXISTS (SELECT FROM pg_inherits i JOIN pg_class h ON h.oid = i.inhrelid
                      WHERE i.inhparent = r.oid AND (h.relacl IS NOT NULL OR h.relowner <> r.relowner OR h.relrowsecurity))),
    'sync', array_agg(coalesce(o.sync, false)),
    'key', array_agg(coalesce(p.partattrs::text, '')),
    'def', array_agg(CASE WHEN r.relkind = 'v' THEN pg_get_viewdef(r.oid) ELSE '' END)) AS j  -- a materialized view's would wait for its REFRESH
  FROM rel r
  LEFT JOIN pleiad.sharded s ON s.relid = r.oid
  LEFT JOIN pleiad.reference f ON f.relid = r.oid
  LEFT JOIN pleiad.everywhere_view e ON e.relid = r.oid
  LEFT JOIN pleiad.table_option o ON o.relid = r.oid
  LEFT JOIN pg_partitioned_table p ON p.partrelid = s.relid
), def AS MATERIALIZED (
  SELECT d.adrelid, d.adnum, pg_get_expr(d.adbin, d.adrelid) AS def, d.adbin::text AS tree
  FROM rel r CROSS JOIN LATERAL (SELECT * FROM pg_attrdef d WHERE d.adrelid = r.oid OFFSET 0) d
), vol AS (  -- equal texts call the same functions: most tables' defaults are alike
  SELECT def, CASE WHEN starts_with(def, 'nextval(') THEN 'v' ELSE pleiad.tree_volatility(min(tree)) END AS vol
  FROM def GROUP BY def
), col AS (
  SELECT r.oid AS attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod,
         format_type(a.atttypid, a.atttypmod) AS typname,
         CASE WHEN a.attcollation = 0 THEN '' WHEN a.attcollation = 100 THEN 'default'
              WHEN a.attcollation = 950 THEN 'C' WHEN a.attcollation = 951 THEN 'POSIX'
              ELSE a.attcollation::regcollation::text END AS coll,
         a.attnotnull, a.attidentity, a.attgenerated,
         CASE WHEN a.attidentity <> ''
              THEN (SELECT format('CASE WHEN has_sequence_privilege(%1$L, ''USAGE, UPDATE'') THEN nextval(%1$L::regclass) '
                                  'ELSE pleiad.next_identity(%1$L) END', q.objid::regclass) FROM pg_depend q
                    WHERE q.classid = 1259 AND q.refclassid = 1259 AND q.refobjid = r.oid AND q.refobjsubid = a.attnum
                      AND q.deptype = 'i')
              WHEN a.attgenerated = '' THEN d.def ELSE '' END AS def,
         CASE WHEN a.attidentity <> '' THEN 'v'::"char" WHEN a.attgenerated = '' THEN v.vol ELSE 'i' END AS vol
  FROM rel r
  CROSS JOIN LATERAL (SELECT * FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
                      ORDER BY a.attnum OFFSET 0) a
  LEFT JOIN def d ON a.atthasdef AND d.adrelid = r.oid AND d.adnum = a.attnum
  LEFT JOIN vol v ON v.def = d.def
  WHERE r.relkind <> 'S'
), cols AS (
  SELECT json_build_object(
    'rel', array_agg(attrelid::int8), 'num', array_agg(attnum), 'name', array_agg(attname), 'type', array_agg(atttypid::int8),
    'typmod', array_agg(atttypmod), 'typname', array_agg(typname), 'coll', array_agg(coll),
    'notnull', array_agg(attnotnull), 'def', array_agg(coalesce(def, '')), 'vol', array_agg(coalesce(vol, 'i')),
    'identity', array_agg(attidentity), 'generated', array_agg(attgenerated <> '')) AS j
  FROM (SELECT * FROM col ORDER BY attrelid, attnum) c
), idx AS (
  SELECT json_build_object(
    'nsp', array_agg(n.nspname), 'name', array_agg(c.relname), 'rel', array_agg(i.indrelid::int8),
    'primary', array_agg(i.indisprimary), 'key', array_agg(i.indkey::text),
    'unique', array_agg(CASE WHEN NOT (i.indisunique OR i.indisexclusion) THEN ''
                             WHEN i.indexprs IS NOT NULL OR i.indpred IS NOT NULL THEN '0' ELSE i.indkey::text END)) AS j
  FROM pg_index i JOIN rel r ON r.oid = i.indrelid JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
), trg AS (
  SELECT json_build_object(
    'rel', array_agg(t.tgrelid::int8), 'name', array_agg(t.tgname), 'func', array_agg(t.tgfoid::int8), 'type', array_agg(t.tgtype),
    'constraint', array_agg(t.tgconstraint <> 0)) AS j
  FROM pg_trigger t JOIN rel r ON r.oid = t.tgrelid WHERE NOT t.tgisinternal
), pol AS (
  SELECT json_build_object('rel', array_agg(p.polrelid::int8), 'expr', array_agg(
    concat_ws(E'\x1f', pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)))) AS j
  FROM pg_policy p JOIN rel r ON r.oid = p.polrelid
), fks AS (
  SELECT json_build_object('rel', array_agg(k.conrelid::int8), 'ref', array_agg(k.confrelid::int8),
    'dels', array_agg(k.confdeltype NOT IN ('a', 'r')), 'acts', array_agg(k.confdeltype NOT IN ('a', 'r') OR k.confupdtype NOT IN ('a', 'r')),
    'key', array_agg(array_to_string(k.confkey, ' '))) AS j
  FROM pg_constraint k JOIN rel r ON r.oid = k.conrelid WHERE k.contype = 'f' AND k.conparentid = 0
), fun AS MATERIALIZED (
  SELECT p.oid, n.nspname, p.proname, p.prokind, p.provolatile, l.lanname, p.proretset, p.pronargs,
         CASE WHEN l.lanname IN ('c', 'internal') THEN p.prosrc
              WHEN p.prosqlbody IS NOT NULL THEN pg_get_function_sqlbody(p.oid) ELSE p.prosrc END AS body,
         p.proargdefaults IS NOT NULL AS defaults, p.proconfig,
         CASE WHEN l.lanname IN ('sql', 'plpgsql') AND p.prokind IN ('f', 'p') THEN json_build_object(
           'names', p.proargnames, 'modes', p.proargmodes::text[],
           'types', (SELECT array_agg(format_type(a.t, NULL) ORDER BY a.i)
                     FROM unnest(coalesce(p.proallargtypes, p.proargtypes::oid[])) WITH ORDINALITY a(t, i)),
           'defaults', CASE WHEN p.pronargdefaults > 0 THEN (
             SELECT array_agg(coalesce(pg_get_function_arg_default(p.oid, i), '') ORDER BY i)
             FROM generate_series(1, cardinality(coalesce(p.proallargtypes, p.proargtypes::oid[]))) i) END,
           'ret', format_type(p.prorettype, NULL), 'rettype', t.typtype, 'retrel', t.typrelid::int8, 'strict', p.proisstrict,
           'definer', p.prosecdef, 'config', p.proconfig IS NOT NULL,
           'role', EXISTS (SELECT FROM unnest(p.proconfig) o WHERE o ~ '^(role|session_authorization)='), 'sqlbody', p.prosqlbody IS NOT NULL,
           'owner', pg_get_userbyid(p.proowner),
           'public', p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) x WHERE x.grantee = 0 AND x.privilege_type = 'EXECUTE'))
         END AS sig
  FROM pg_proc p JOIN nsp n ON n.oid = p.pronamespace JOIN pg_language l ON l.oid = p.prolang
  JOIN pg_type t ON t.oid = p.prorettype
), funs AS (
  SELECT json_build_object(
    'oid', array_agg(f.oid::int8), 'nsp', array_agg(f.nspname), 'name', array_agg(f.proname), 'kind', array_agg(f.prokind),
    'vol', array_agg(f.provolatile), 'lang', array_agg(f.lanname), 'set', array_agg(f.proretset),
    'nargs', array_agg(f.pronargs), 'body', array_agg(f.body), 'ext', array_agg(coalesce(x.extname, '')),
    'sig', array_agg(f.sig), 'trans', array_agg(coalesce(g.fns, ''))) AS j
  FROM fun f
  LEFT JOIN pg_depend d ON d.classid = 1255 AND d.objid = f.oid AND d.deptype = 'e' AND d.refclassid = 3079
  LEFT JOIN pg_extension x ON x.oid = d.refobjid
  LEFT JOIN LATERAL (
    SELECT concat_ws(' ', a.aggtransfn::oid, a.aggfinalfn::oid, a.aggcombinefn::oid, a.aggserialfn::oid,
                     a.aggdeserialfn::oid, a.aggmtransfn::oid, a.aggminvtransfn::oid, a.aggmfinalfn::oid) AS fns
    FROM pg_aggregate a WHERE f.prokind = 'a' AND a.aggfnoid = f.oid) g ON true
), unsafe AS MATERIALIZED (  -- built-in functions that reach tables or the session: catalog/reach.go knows them by name
  SELECT oid, proname FROM pg_proc
  WHERE pronamespace = 11 AND proname ~ '^(lo_|loread$|lowrite$|(query|table|schema|database|cursor)_to_xml|ts_stat$|ts_rewrite$|set_config$|setseed$|nextval$|setval$|currval$|lastval$|pg_(try_)?advisory_|pg_export_snapshot$|pg_notify$|pg_input_|pg_replication_origin_|pg_read_|pg_ls_|currtid2$|(domain|array|record|range|multirange)_(in|recv)$)'
), unsafes AS (
  SELECT json_build_object('oid', array_agg(oid::int8), 'name', array_agg(proname)) AS j FROM unsafe
), tree AS (  -- expressions beside statements that call one; what they call of the user's is in pg_depend
  SELECT t.kind, t.oid, t.sub, m[1]::int8 AS ref
  FROM (SELECT CASE WHEN a.attgenerated = '' THEN 'd' ELSE 'w' END AS kind, d.adrelid AS oid, d.adnum AS sub, d.tree
        FROM def d JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
        UNION ALL
        SELECT CASE WHEN contypid = 0 THEN 'w' ELSE 't' END, CASE WHEN contypid = 0 THEN conrelid ELSE contypid END, 0, conbin::text
        FROM pg_constraint WHERE contype = 'c' AND oid >= 16384
        UNION ALL
        SELECT 'w', indrelid, 0, concat_ws(' ', indexprs::text, indpred::text) FROM pg_index WHERE indexprs IS NOT NULL OR indpred IS NOT NULL
        UNION ALL
        SELECT 'w', partrelid, 0, partexprs::text FROM pg_partitioned_table WHERE partexprs IS NOT NULL
        UNION ALL
        SELECT 'w', tgrelid, 0, tgqual::text FROM pg_trigger WHERE tgqual IS NOT NULL
        UNION ALL
        SELECT 'w', ev_class, 0, concat_ws(' ', ev_qual::text, ev_action::text) FROM pg_rewrite WHERE ev_type <> '1' AND oid >= 16384
        UNION ALL
        SELECT 'q', w.ev_class, 0, w.ev_action::text FROM pg_rewrite w JOIN rel r ON r.oid = w.ev_class WHERE r.relkind = 'm'
        UNION ALL
        SELECT 'r', polrelid, 0, concat_ws(' ', polqual::text, polwithcheck::text) FROM pg_policy
        UNION ALL
        SELECT 't', oid, 0, typdefaultbin::text FROM pg_type WHERE typdefaultbin IS NOT NULL
        UNION ALL
        SELECT 'f', oid, 0, proargdefaults::text FROM pg_proc WHERE proargdefaults IS NOT NULL AND oid >= 16384) t
  CROSS JOIN regexp_matches(t.tree, (SELECT ':(?:funcid|opfuncid|aggfnoid|winfnoid) (' || string_agg(oid::text, '|') || ') ' FROM unsafe), 'g') m
  JOIN unsafe u ON u.oid = m[1]::oid
  WHERE t.kind <> 'd' OR u.proname !~ 'val$'  -- a default's own nextval is seen in its text
), dep AS (  -- who needs which function, type, operator, operator class or family of the user's
  SELECT CASE d.classid WHEN 1255 THEN 'f' WHEN 1247 THEN 't' WHEN 2617 THEN 'o' WHEN 2616 THEN 'c' WHEN 2753 THEN 'y'
           WHEN 2602 THEN 'y' WHEN 2603 THEN 'y' WHEN 2604 THEN CASE WHEN ga.attgenerated = '' THEN 'd' ELSE 'w' END
           WHEN 2606 THEN CASE WHEN co.contypid = 0 THEN 'w' ELSE 't' END
           WHEN 1259 THEN CASE WHEN ix.indrelid IS NULL THEN 'r' ELSE 'w' END
           WHEN 2618 THEN CASE WHEN mv.oid IS NULL THEN 'r' ELSE 'q' END WHEN 3256 THEN 'r' WHEN 2620 THEN 'w' WHEN 3381 THEN 'w' END AS kind,
         CASE d.classid WHEN 2602 THEN op.amopfamily WHEN 2603 THEN ap.amprocfamily WHEN 2604 THEN ad.adrelid
           WHEN 2606 THEN CASE WHEN co.contypid = 0 THEN co.conrelid ELSE co.contypid END
           WHEN 1259 THEN coalesce(ix.indrelid, d.objid) WHEN 2618 THEN rw.ev_class WHEN 3256 THEN po.polrelid
           WHEN 2620 THEN tg.tgrelid WHEN 3381 THEN se.stxrelid ELSE d.objid END AS oid,
         coalesce(ad.adnum, 0) AS sub,
         CASE d.refclassid WHEN 1255 THEN 'f' WHEN 1247 THEN 't' WHEN 2617 THEN 'o' WHEN 2616 THEN 'c' WHEN 2753 THEN 'y' END AS refkind,
         d.refobjid AS ref
  FROM pg_depend d
  LEFT JOIN pg_type ty ON d.classid = 1247 AND ty.oid = d.objid
  LEFT JOIN pg_attrdef ad ON d.classid = 2604 AND ad.oid = d.objid
  LEFT JOIN pg_attribute ga ON ga.attrelid = ad.adrelid AND ga.attnum = ad.adnum
  LEFT JOIN pg_constraint co ON d.classid = 2606 AND co.oid = d.objid
  LEFT JOIN pg_index ix ON d.classid = 1259 AND ix.indexrelid = d.objid
  LEFT JOIN pg_rewrite rw ON d.classid = 2618 AND rw.oid = d.objid
  LEFT JOIN pg_class mv ON mv.oid = rw.ev_class AND mv.relkind = 'm'
  LEFT JOIN pg_policy po ON d.classid = 3256 AND po.oid = d.objid
  LEFT JOIN pg_trigger tg ON d.classid = 2620 AND tg.oid = d.objid
  LEFT JOIN pg_statistic_ext se ON d.classid = 3381 AND se.oid = d.objid
  LEFT JOIN pg_amop op ON d.classid = 2602 AND op.oid = d.objid
  LEFT JOIN pg_amproc ap ON d.classid = 2603 AND ap.oid = d.objid
  WHERE d.refclassid IN (1255, 1247, 2617, 2616, 2753) AND d.refobjid >= 16384
    AND d.classid IN (1255, 1247, 2617, 2616, 2753, 2602, 2603, 2604, 2606, 1259, 2618, 3256, 2620, 3381)
    AND (ty.oid IS NULL OR ty.typelem = 0 OR ty.typlen <> -1) AND (tg.oid IS NULL OR d.refobjid <> tg.tgfoid)
), reach AS (
  SELECT json_build_object('kind', array_agg(e.kind), 'oid', array_agg(e.oid::int8), 'sub', array_agg(e.sub),
    'refkind', array_agg(e.refkind), 'ref', array_agg(e.ref::int8)) AS j
  FROM (SELECT kind, oid, sub, refkind, ref FROM dep WHERE kind IS NOT NULL
        UNION SELECT kind, oid, sub, 'f', ref::oid FROM tree
        UNION SELECT 'r', p.polrelid, 0, 'n', d.refobjid
              FROM pg_depend d JOIN pg_policy p ON p.oid = d.objid
              WHERE d.classid = 3256 AND d.refclassid = 1259 AND d.refobjid <> p.polrelid
        UNION SELECT 'w', w.ev_class, 0, k.kind, d.refobjid  -- what a table's rules do instead of a write, or also
              FROM pg_rewrite w JOIN pg_depend d ON d.classid = 2618 AND d.objid = w.oid AND d.refclassid = 1259 AND d.refobjid <> w.ev_class
              CROSS JOIN (VALUES ('n'), ('m')) k(kind) WHERE w.ev_type <> '1'
        UNION SELECT 'w', i.inhparent, 0, 'w', i.inhrelid FROM pg_inherits i JOIN rel r ON r.oid = i.inhrelid) e
  WHERE e.kind NOT IN ('r', 'w', 'd') OR EXISTS (SELECT FROM pg_class c JOIN nsp n ON n.oid = c.relnamespace WHERE c.oid = e.oid)
), oprs AS (
  SELECT json_build_object('oid', array_agg(o.oid::int8), 'name', array_agg(o.oprname), 'left', array_agg(o.oprleft::int8),
    'right', array_agg(o.oprright::int8), 'fns', array_agg(concat_ws(' ', o.oprcode::oid, o.oprrest::oid, o.oprjoin::oid)),
    'shared', array_agg(EXISTS (SELECT FROM pg_operator b WHERE b.oprname = o.oprname AND b.oprnamespace = 11))) AS j
  FROM pg_operator o WHERE o.oid >= 16384
), opcs AS (
  SELECT json_build_object('oid', array_agg(oid::int8), 'type', array_agg(opcintype::int8), 'family', array_agg(opcfamily::int8),
    'default', array_agg(opcdefault)) AS j
  FROM pg_opclass WHERE oid >= 16384
), csts AS (
  SELECT json_build_object('from', array_agg(castsource::int8), 'to', array_agg(casttarget::int8), 'func', array_agg(castfunc::int8),
    'implicit', array_agg(castcontext = 'i')) AS j
  FROM pg_cast WHERE oid >= 16384
), typs AS (
  SELECT json_build_object('nsp', array_agg(n.nspname), 'name', array_agg(t.typname), 'oid', array_agg(t.oid::int8),
    'rel', array_agg(t.typrelid::int8), 'elem', array_agg(t.typelem::int8),
    'loose', array_agg(t.typtype IN ('d', 'c') OR t.typcategory = 'S' OR t.typispreferred),
    'unranked', array_agg(NOT (t.typtype = 'e' OR t.typtype = 'd' AND t.typbasetype < 16384))) AS j
  FROM pg_type t JOIN nsp n ON n.oid = t.typnamespace
), deps AS (
  SELECT json_build_object('view', array_agg(v.view::int8), 'rels', array_agg(v.rels)) AS j
  FROM (SELECT w.ev_class AS view,
               string_agg(d.refobjid::text, ' ') AS rels
        FROM rel r JOIN pg_rewrite w ON w.ev_class = r.oid
        JOIN (SELECT DISTINCT objid, refobjid FROM pg_depend WHERE classid = 2618 AND refclassid = 1259) d ON d.objid = w.oid AND d.refobjid <> r.oid
        WHERE r.relkind IN ('v', 'm') GROUP BY w.ev_class) v
), sys AS (
  SELECT json_build_object('oid', array_agg(c.oid::int8), 'nsp', array_agg(n.nspname), 'name', array_agg(c.relname),
    'kind', array_agg(c.relkind)) AS j
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname IN ('pg_catalog', 'information_schema', 'pleiad') AND c.relkind IN ('r', 'v', 'p', 'f', 'm')
), grps AS (
  SELECT json_build_object('id', array_agg(g.id), 'types', array_agg(array_to_string(g.key_types, ' ')),
    'families', array_agg(array_to_string(g.families, ' ')),
    'owners', array_agg((SELECT string_agg(p.backend::text, ' ' ORDER BY p.shard) FROM pleiad.placement p
                         WHERE p.group_id = g.id))) AS j
  FROM pleiad.colocation g
), bcks AS (
  SELECT json_build_object('id', array_agg(id), 'name', array_agg(name), 'home', array_agg(home),
    'weight', array_agg(CASE state WHEN 'active' THEN weight ELSE 0 END),
    'absent', array_agg(state = 'absent')) AS j
  FROM (SELECT * FROM pleiad.backend ORDER BY id) b
)
SELECT json_build_object(
  'epoch', (SELECT epoch FROM pleiad.epoch), 'database', current_database(),
  'schemas', (SELECT array_agg(nspname) FROM nsp),
  'rels', (SELECT j FROM rels), 'cols', (SELECT j FROM cols), 'indexes', (SELECT j FROM idx),
  'triggers', (SELECT j FROM trg), 'policies', (SELECT j FROM pol), 'fks', (SELECT j FROM fks),
  'functions', (SELECT j FROM funs), 'types', (SELECT j FROM typs), 'views', (SELECT j FROM deps),
  'reach', (SELECT j FROM reach), 'operators', (SELECT j FROM oprs), 'opclasses', (SELECT j FROM opcs),
  'casts', (SELECT j FROM csts), 'unsafe', (SELECT j FROM unsafes),
  'system', (SELECT j FROM sys), 'groups', (SELECT j FROM grps), 'backends', (SELECT j FROM bcks))
$$;

-- OIDs of user types and relations by qualified name; they differ between backends. What binary values of a type are made
-- of: kind 'a' (array), 'c' (composite), 'd' (domain), 'r' (range) or 'm' (multirange), and the types inside.
CREATE OR REPLACE FUNCTION pleiad.oids() RETURNS json
LANGUAGE sql STABLE SET search_path = pg_catalog SET jit = off AS $$
WITH nsp AS MATERIALIZED (
  SELECT oid, nspname FROM pg_namespace
  WHERE nspname !~ '^pg_' AND nspname !~ '^pleiad(_[0-9]+)?$' AND nspname <> 'information_schema'
), typ AS MATERIALIZED (
  SELECT t.oid, n.nspname, t.typname, t.typrelid,
         CASE WHEN t.typtype = 'b' AND t.typsubscript = 'array_subscript_handler'::regproc THEN 'a'
              WHEN t.typtype IN ('c', 'd', 'r', 'm') THEN t.typtype::text ELSE '' END AS kind,
         CASE t.typtype WHEN 'b' THEN t.typelem WHEN 'd' THEN t.typbasetype ELSE r.rngsubtype END AS inside
  FROM pg_type t JOIN nsp n ON n.oid = t.typnamespace
       LEFT JOIN pg_range r ON t.typtype IN ('r', 'm') AND t.oid IN (r.rngtypid, r.rngmultitypid)
), att AS MATERIALIZED (
  SELECT attrelid, json_agg(DISTINCT atttypid::int8) AS types FROM pg_attribute
  WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (SELECT typrelid FROM typ WHERE kind = 'c') GROUP BY attrelid
)
SELECT json_build_object(
  'types', (SELECT json_build_object('nsp', array_agg(t.nspname), 'name', array_agg(t.typname), 'oid', array_agg(t.oid::int8),
                                     'kind', array_agg(t.kind),
                                     'inner', json_agg(CASE t.kind WHEN '' THEN NULL WHEN 'c' THEN a.types
                                                       ELSE json_build_array(t.inside::int8) END))
            FROM typ t LEFT JOIN att a ON t.kind = 'c' AND a.attrelid = t.typrelid),
  'rels', (SELECT json_build_object('nsp', array_agg(n.nspname), 'name', array_agg(c.relname), 'oid', array_agg(c.oid::int8))
           FROM pg_class c JOIN nsp n ON n.oid = c.relnamespace WHERE c.relkind NOT IN ('t', 'c')))
$$;
