"""How is everything with a name read out of a PostgreSQL database? One statement on the system catalogues, which any role may read.

Members of extensions are left to their extension. Names are printed qualified and quoted by both sides alike: `PINS` are set in the transaction before.
Source: PostgreSQL manual, 51 System Catalogs; 9.27.5 System Catalog Information Functions.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from interlock.facts.catalogue import Catalogue, Kind, Object, Server, settled
from interlock.observe.postgres import Session

OLDEST = 130_000  # pg_trigger.tgparentid
PINS = {
    "search_path": "pg_catalog",
    "quote_all_identifiers": "on",  # which words are keywords differs between majors
    "timezone": "UTC",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "row_security": "off",  # a policy that hides rows becomes an error
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
}

SERVER = """
select current_setting('server_version_num')::int, (select system_identifier::text from pg_control_system()),
    (select oid::bigint from pg_database where datname = current_database()), pg_postmaster_start_time()::text, pg_is_in_recovery()
"""

# Every part below has the columns kind, path, suffix, parent, owner, holder (whose grants are the owner's), acl and traits.
# to_jsonb(row)->>'column' is null where a major has no such column.
_HEAD = """
with recursive
spaces as materialized (
    select s.oid, s.nspname, s.nspowner, s.nspacl from pg_namespace s
    where case when %(schemas)s::text[] is null then s.nspname !~ '^pg_' and s.nspname <> 'information_schema' else s.nspname = any (%(schemas)s::text[]) end
),
members as materialized (select classid, objid from pg_depend where deptype = 'e'),
relations as materialized (
    select c.*, s.nspname as space, array[s.nspname, c.relname]::text[] as path from pg_class c join spaces s on s.oid = c.relnamespace
    where c.relkind in ('r', 'p', 'f', 'v', 'm', 'S', 'c') and (c.oid) not in (select objid from members where classid = 'pg_class'::regclass)
),
found (kind, path, suffix, parent, owner, holder, acl, traits) as materialized (
"""

_DATABASE = """
select 'database', array[]::text[], '', null::text[], null::oid, d.datdba, coalesce(d.datacl, acldefault('d', d.datdba)), jsonb_build_object(
    'encoding', pg_encoding_to_char(d.encoding),
    'collation', case when to_jsonb(d)->>'datlocprovider' in ('i', 'b') then coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale')
        else regexp_replace(lower(d.datcollate), 'utf-?8$', 'utf8') end,
    'collation provider', coalesce(to_jsonb(d)->>'datlocprovider', 'c'),
    'ctype', regexp_replace(lower(d.datctype), 'utf-?8$', 'utf8'))
from pg_database d where d.datname = current_database()
"""

_SETTINGS = """
select 'setting', array[split_part(one, '=', 1)], case when s.setrole = 0 then '' else ' for role ' || pg_get_userbyid(s.setrole) end, null, null, null, null,
    jsonb_build_object('value', encode(sha256(convert_to(one, 'UTF8')), 'hex'))
from pg_db_role_setting s, unnest(s.setconfig) one
where s.setdatabase = (select oid from pg_database where datname = current_database()) and (s.setrole = 0 or %(grants)s)
"""

_SCHEMAS = """
select 'schema', array[s.nspname]::text[], '', null, s.nspowner, s.nspowner, coalesce(s.nspacl, acldefault('n', s.nspowner)), '{}' from spaces s
where s.oid not in (select objid from members where classid = 'pg_namespace'::regclass)
"""

_EXTENSIONS = """
select 'extension', array[e.extname]::text[], '', null, null, null, null, jsonb_build_object('version', e.extversion, 'schema', n.nspname)
from pg_extension e join pg_namespace n on n.oid = e.extnamespace
"""

_COLLATIONS = """
select 'collation', array[s.nspname, c.collname]::text[], '', array[s.nspname]::text[], c.collowner, null, null, jsonb_build_object(
    'provider', c.collprovider, 'deterministic', c.collisdeterministic,
    'locale', coalesce(to_jsonb(c)->>'colllocale', to_jsonb(c)->>'colliculocale', c.collcollate::text), 'ctype', c.collctype)
from pg_collation c join spaces s on s.oid = c.collnamespace where c.oid not in (select objid from members where classid = 'pg_collation'::regclass)
"""

# Arrays and multiranges come with their element, row types with their table.
_TYPES = """
select 'type', array[s.nspname, t.typname]::text[], '', array[s.nspname]::text[], t.typowner, t.typowner, coalesce(t.typacl, acldefault('T', t.typowner)),
    jsonb_build_object(
    'kind', case t.typtype when 'e' then 'enum' when 'd' then 'domain' when 'c' then 'composite' when 'r' then 'range' else 'base' end,
    'labels', (select string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder) from pg_enum e where e.enumtypid = t.oid),
    'base', case when t.typtype = 'd' then format_type(t.typbasetype, t.typtypmod) end,
    'nullable', case when t.typtype = 'd' then not t.typnotnull end,
    'default', case when t.typtype = 'd' then coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault) end,
    'collation', case when t.typtype = 'd' and t.typcollation <> b.typcollation then t.typcollation::regcollation::text end,
    'range of', (select concat_ws(' ', format_type(r.rngsubtype, null), nullif(r.rngcollation, 0)::regcollation, nullif(r.rngcanonical::oid, 0)::regprocedure,
        nullif(r.rngsubdiff::oid, 0)::regprocedure) from pg_range r where r.rngtypid = t.oid))
from pg_type t join spaces s on s.oid = t.typnamespace left join pg_type b on b.oid = t.typbasetype left join pg_class c on c.oid = t.typrelid
where t.typtype in ('e', 'd', 'c', 'r', 'b') and (t.typtype <> 'c' or c.relkind = 'c')
    and not (t.typtype = 'b' and exists (select from pg_type e where e.typarray = t.oid))
    and t.oid not in (select objid from members where classid = 'pg_type'::regclass)
"""

_TABLES = """
select 'table', r.path, '', array[r.space]::text[], r.relowner, r.relowner, coalesce(r.relacl, acldefault('r', r.relowner)), jsonb_build_object(
    'kind', case r.relkind when 'r' then 'table' when 'p' then 'partitioned table' else 'foreign table' end,
    'persistence', case r.relpersistence when 'p' then 'permanent' when 'u' then 'unlogged' else 'temporary' end,
    'of type', nullif(r.reloftype, 0)::regtype::text,
    'partitioned by', case when r.relkind = 'p' then pg_get_partkeydef(r.oid) end,
    'partition', case when r.relispartition then
        (select i.inhparent::regclass::text from pg_inherits i where i.inhrelid = r.oid) || ' ' || pg_get_expr(r.relpartbound, r.oid) end,
    'inherits', case when not r.relispartition then
        (select string_agg(i.inhparent::regclass::text, ', ' order by i.inhseqno) from pg_inherits i where i.inhrelid = r.oid) end,
    'row security', case when r.relrowsecurity then case when r.relforcerowsecurity then 'forced' else 'on' end else 'off' end,
    'replica identity', case when r.relkind in ('r', 'p') then r.relreplident end,
    'server', (select v.srvname from pg_foreign_table f join pg_foreign_server v on v.oid = f.ftserver where f.ftrelid = r.oid))
from relations r where r.relkind in ('r', 'p', 'f')
"""

_VIEWS = """
select case r.relkind when 'v' then 'view' else 'materialized view' end, r.path, '', array[r.space]::text[], r.relowner, r.relowner,
    coalesce(r.relacl, acldefault('r', r.relowner)), jsonb_build_object('definition', pg_get_viewdef(r.oid),
    'options', (select string_agg(one, ', ' order by one) from unnest(r.reloptions) one),
    'filled', case when r.relkind = 'm' then r.relispopulated end)
from relations r where r.relkind in ('v', 'm')
"""

# From 17 on a partition shares the identity of its parent, before it had none: the parent's is compared.
# From 18 on NOT NULL is a constraint, and may be one that is not validated.
_COLUMNS = """
select 'column', r.path || a.attname::text, '', r.path, null, r.relowner, a.attacl, jsonb_build_object(
    'type', format_type(a.atttypid, a.atttypmod),
    'collation', case when a.attcollation <> t.typcollation then a.attcollation::regcollation::text end,
    'nullable', case when not a.attnotnull then 'yes' when n.oid is not null then 'no, not validated' else 'no' end,
    'default', case when a.attgenerated = '' then pg_get_expr(d.adbin, d.adrelid) end,
    'generated', case a.attgenerated when 's' then 'stored ' when 'v' then 'virtual ' end || pg_get_expr(d.adbin, d.adrelid),
    'identity', case when not r.relispartition then case a.attidentity when 'a' then 'always' when 'd' then 'by default' end end)
from relations r join pg_attribute a on a.attrelid = r.oid join pg_type t on t.oid = a.atttypid
    left join pg_attrdef d on d.adrelid = r.oid and d.adnum = a.attnum
    left join pg_constraint n on n.conrelid = r.oid and n.contype = 'n' and n.conkey = array[a.attnum] and not n.convalidated
where r.relkind in ('r', 'p', 'f', 'v', 'm', 'c') and a.attnum > 0 and not a.attisdropped
"""

# One that belongs to a column goes away with its table.
_SEQUENCES = """
select 'sequence', r.path, '', coalesce((select t.path from pg_depend dep join relations t on t.oid = dep.refobjid where dep.classid = 'pg_class'::regclass
    and dep.objid = r.oid and dep.refclassid = 'pg_class'::regclass and dep.deptype in ('a', 'i')), array[r.space]::text[]),
    r.relowner, r.relowner, coalesce(r.relacl, acldefault('s', r.relowner)), jsonb_build_object(
    'type', format_type(q.seqtypid, null), 'start', q.seqstart, 'increment', q.seqincrement, 'minimum', q.seqmin, 'maximum', q.seqmax, 'cache', q.seqcache,
    'cycle', q.seqcycle, 'owned by', (select dep.refobjid::regclass::text || ' ' || a.attname from pg_depend dep join pg_attribute a
        on a.attrelid = dep.refobjid and a.attnum = dep.refobjsubid
        where dep.classid = 'pg_class'::regclass and dep.objid = r.oid and dep.refclassid = 'pg_class'::regclass and dep.deptype in ('a', 'i')))
from relations r join pg_sequence q on q.seqrelid = r.oid
"""

# NOT NULL is a trait of its column; a foreign key's part on a partition is made, and named, by the server. The index of a key goes with its constraint.
_CONSTRAINTS = """
select 'constraint', r.path || c.conname::text, '', r.path, null, null, null, jsonb_build_object('definition', pg_get_constraintdef(c.oid),
    'index', case when i.indexrelid is null then null when i.indisvalid then 'valid' else 'invalid' end,
    'clustered', i.indisclustered, 'replica identity', i.indisreplident)
from relations r join pg_constraint c on c.conrelid = r.oid left join pg_index i on i.indexrelid = c.conindid and c.contype in ('p', 'u', 'x')
where c.contype in ('c', 'f', 'p', 'u', 'x') and not (c.contype = 'f' and c.conparentid <> 0)
union all
select 'constraint', array[s.nspname, t.typname, c.conname]::text[], '', array[s.nspname, t.typname]::text[], null, null, null,
    jsonb_build_object('definition', pg_get_constraintdef(c.oid))
from pg_constraint c join pg_type t on t.oid = c.contypid join spaces s on s.oid = t.typnamespace
where c.contype = 'c' and t.oid not in (select objid from members where classid = 'pg_type'::regclass)
"""

_INDEXES = """
select 'index', array[r.space, x.relname]::text[], '', r.path, null, null, null, jsonb_build_object('definition', pg_get_indexdef(i.indexrelid),
    'index', case when i.indisvalid then 'valid' when x.relkind = 'I' then 'without its partitions' else 'invalid' end,
    'clustered', i.indisclustered, 'replica identity', i.indisreplident)
from relations r join pg_index i on i.indrelid = r.oid join pg_class x on x.oid = i.indexrelid
where not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.contype in ('p', 'u', 'x'))
"""

_STATISTICS = """
select 'statistics', array[s.nspname, e.stxname]::text[], '', r.path, e.stxowner, null, null, jsonb_build_object('definition', pg_get_statisticsobjdef(e.oid))
from pg_statistic_ext e join spaces s on s.oid = e.stxnamespace join relations r on r.oid = e.stxrelid
"""

_FUNCTIONS = """
select 'function', array[s.nspname, p.proname]::text[], '(' || oidvectortypes(p.proargtypes) || ')', array[s.nspname]::text[], p.proowner, p.proowner,
    coalesce(p.proacl, acldefault('f', p.proowner)), jsonb_build_object('definition', case when p.prokind = 'a' then
    (select concat_ws(' ', a.aggkind, a.aggtransfn::regprocedure, a.aggtranstype::regtype, 'final', nullif(a.aggfinalfn::oid, 0)::regprocedure,
        a.aggfinalextra, a.aggfinalmodify, 'combine', nullif(a.aggcombinefn::oid, 0)::regprocedure, 'moving', nullif(a.aggmtransfn::oid, 0)::regprocedure,
        nullif(a.aggminvtransfn::oid, 0)::regprocedure, 'sort', nullif(a.aggsortop, 0)::regoperator, 'first', quote_nullable(a.agginitval), p.proparallel,
        format_type(p.prorettype, null)) from pg_aggregate a where a.aggfnoid = p.oid)
    else pg_get_functiondef(p.oid) end)
from pg_proc p join spaces s on s.oid = p.pronamespace where p.oid not in (select objid from members where classid = 'pg_proc'::regclass)
"""

_OPERATORS = """
select 'operator', array[s.nspname, o.oprname]::text[],
    format(' (%%s, %%s)', format_type(nullif(o.oprleft, 0), null), format_type(nullif(o.oprright, 0), null)),
    array[s.nspname]::text[], o.oprowner, null, null, jsonb_build_object('function', o.oprcode::oid::regprocedure::text)
from pg_operator o join spaces s on s.oid = o.oprnamespace where o.oid not in (select objid from members where classid = 'pg_operator'::regclass)
"""

# The parts of a partitioned table's trigger on its partitions are the server's own.
_TRIGGERS = """
select 'trigger', r.path || t.tgname::text, '', r.path, null, null, null, jsonb_build_object('definition', pg_get_triggerdef(t.oid), 'enabled', t.tgenabled)
from relations r join pg_trigger t on t.tgrelid = r.oid where not t.tgisinternal and t.tgparentid = 0
union all
select 'event trigger', array[e.evtname]::text[], '', null, e.evtowner, null, null, jsonb_build_object('event', e.evtevent,
    'function', e.evtfoid::regprocedure::text, 'enabled', e.evtenabled, 'tags', e.evttags::text)
from pg_event_trigger e where e.oid not in (select objid from members where classid = 'pg_event_trigger'::regclass)
"""

_RULES = """
select 'rule', r.path || u.rulename::text, '', r.path, null, null, null, jsonb_build_object('definition', pg_get_ruledef(u.oid), 'enabled', u.ev_enabled)
from relations r join pg_rewrite u on u.ev_class = r.oid where u.rulename <> '_RETURN'
"""

_POLICIES = """
select 'policy', r.path || p.polname::text, '', r.path, null, null, null, jsonb_build_object('definition', concat_ws(' ',
    case when p.polpermissive then 'permissive' else 'restrictive' end, p.polcmd,
    'using', pg_get_expr(p.polqual, p.polrelid), 'check', pg_get_expr(p.polwithcheck, p.polrelid)),
    'roles', case when %(grants)s then (select string_agg(named.role, ', ' order by named.role)
        from (select case when one = 0 then 'public' else pg_get_userbyid(one)::text end as role from unnest(p.polroles) one) named) end)
from relations r join pg_policy p on p.polrelid = r.oid
"""

_OTHERS = """
select 'server', array[v.srvname]::text[], '', null, v.srvowner, v.srvowner, coalesce(v.srvacl, acldefault('S', v.srvowner)),
    jsonb_build_object('wrapper', w.fdwname, 'type', v.srvtype, 'version', v.srvversion)
from pg_foreign_server v join pg_foreign_data_wrapper w on w.oid = v.srvfdw
union all
select 'text search configuration', array[s.nspname, c.cfgname]::text[], '', array[s.nspname]::text[], c.cfgowner, null, null, '{}'
from pg_ts_config c join spaces s on s.oid = c.cfgnamespace where c.oid not in (select objid from members where classid = 'pg_ts_config'::regclass)
union all
select 'default privileges', array[pg_get_userbyid(a.defaclrole)]::text[], coalesce(' in schema ' || n.nspname, '') || ' for ' || case a.defaclobjtype
    when 'r' then 'tables' when 'S' then 'sequences' when 'f' then 'functions' when 'T' then 'types' when 'n' then 'schemas' else a.defaclobjtype::text end,
    null, null, a.defaclrole, a.defaclacl, '{}'
from pg_default_acl a left join pg_namespace n on n.oid = a.defaclnamespace
where %(grants)s and (a.defaclnamespace = 0 or a.defaclnamespace in (select oid from spaces))
"""

# Concerned are the roles that own or are granted something here, and whoever is a member of one: a login that has its rights from a group.
_TAIL = """
),
granted as materialized (
    select f.kind, f.path, f.suffix, f.holder, g.grantee, g.privilege_type || case when g.is_grantable then ' with grant option' else '' end as privilege
    from found f, aclexplode(f.acl) g where %(grants)s
),
concerned (role) as (
    select owner from found where owner is not null and %(grants)s union select grantee from granted where grantee not in (0, holder)
    union select m.member from concerned c join pg_roles r on r.oid = c.role join pg_auth_members m on m.roleid = r.oid where r.rolname !~ '^pg_'
),
privileges as (
    select one.kind, one.path, one.suffix, jsonb_object_agg(one.role, one.privileges) as granted from (
        select kind, path, suffix, jsonb_agg(distinct privilege) as privileges,
            case when grantee = holder then 'its owner' when grantee = 0 then 'public' else 'role ' || pg_get_userbyid(grantee) end as role
        from granted group by kind, path, suffix, 5) one
    group by one.kind, one.path, one.suffix
)
select f.kind, f.path, f.suffix, f.parent,
    f.traits || case when %(grants)s and f.owner is not null then jsonb_build_object('owner', pg_get_userbyid(f.owner)) else '{}' end, p.granted
from found f left join privileges p using (kind, path, suffix)
union all
select 'role', array[r.rolname]::text[], '', null, jsonb_build_object('superuser', r.rolsuper, 'login', r.rolcanlogin, 'inherits', r.rolinherit,
    'creates databases', r.rolcreatedb, 'creates roles', r.rolcreaterole, 'replicates', r.rolreplication, 'bypasses row security', r.rolbypassrls,
    'connection limit', r.rolconnlimit, 'valid until', r.rolvaliduntil::text,
    'member of', (select string_agg(m.name || case when m.admin then ' with admin option' else '' end, ', ' order by m.name)
        from (select pg_get_userbyid(roleid)::text as name, bool_or(admin_option) as admin from pg_auth_members where member = r.oid group by roleid) m),
    'settings', (select encode(sha256(convert_to(string_agg(one, E'\\n' order by one), 'UTF8')), 'hex')
        from pg_db_role_setting s, unnest(s.setconfig) one where s.setrole = r.oid and s.setdatabase = 0),
    'aside', r.oid not in (select role from concerned)), null
from pg_roles r where r.rolname !~ '^pg_' and %(grants)s
"""

_PARTS = (
    _DATABASE,
    _SETTINGS,
    _SCHEMAS,
    _EXTENSIONS,
    _COLLATIONS,
    _TYPES,
    _TABLES,
    _VIEWS,
    _COLUMNS,
    _SEQUENCES,
    _CONSTRAINTS,
    _INDEXES,
    _STATISTICS,
    _FUNCTIONS,
    _OPERATORS,
    _TRIGGERS,
    _RULES,
    _POLICIES,
    _OTHERS,
)
OBJECTS = _HEAD + "union all".join(_PARTS) + _TAIL


def read_server(session: Session) -> Server:
    """Which server this is. Raises `CouldNotLook`."""
    ((version, identifier, oid, started, recovering),) = session.rows(SERVER)
    return Server(version=version, system_identifier=identifier, database_oid=oid, started=started, in_recovery=recovering)


def read_catalogue(session: Session, server: Server, schemas: Sequence[str] | None, *, grants: bool) -> Catalogue:
    """Everything with a name, with owners and grants when they are asked for. `PINS` must be set. Raises `CouldNotLook`."""
    rows = session.rows(OBJECTS, {"schemas": list(schemas) if schemas is not None else None, "grants": grants})
    return Catalogue(server=server, objects=tuple(sorted(_objects(rows), key=lambda found: found.key)))


def _objects(rows: Sequence[tuple[Any, ...]]) -> Iterator[Object]:
    for kind, path, suffix, parent, traits, granted in rows:
        yield Object(
            kind=Kind(kind),
            path=tuple(path),
            suffix=suffix,
            parent=tuple(parent or ()),
            aside=traits.pop("aside", False),
            traits=tuple(_traits(traits)),
            grants=tuple(sorted((role, frozenset(privileges)) for role, privileges in (granted or {}).items())),
        )


def _traits(traits: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Those that are there, as text, by name."""
    for name, value in sorted(traits.items()):
        match value:
            case None:
                continue
            case bool():
                yield name, "yes" if value else "no"
            case _:
                yield name, settled(str(value))
