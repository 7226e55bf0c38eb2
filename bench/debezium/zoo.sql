-- What the types' tables need, and tables that are odd in another way than by a type. Rows come from the workload's seed.

create extension if not exists citext;
create extension if not exists hstore;
create extension if not exists ltree;

create schema zoo;
create type zoo.mood as enum ('sad', 'very happy', 'it''s "ok"');
create type public.pmood as enum ('a', 'b');
create type zoo.pair as (n int, t text);
create domain zoo.dom_text as text;
create domain zoo.dom_num as numeric(10,2);
create domain zoo.dom_int as int check (value > 0);
create domain zoo.dom_bytea as bytea;

-- Both captures are known to have come so far once they have published its row.
create table public.fence (id int primary key);

-- Keys ----------------------------------------------------------------------------------------------------------------

create table zoo.composite (note text, b int, amount numeric, a text, primary key (a, b));
insert into zoo.composite select 'n' || i, i, i / 8.0, chr(97 + i % 5) from generate_series(1, 20) i;

create table zoo."Sp ace-ü$x" ("Id" int primary key, "col umn" text default 'it''s', "select" int, "Grüße" boolean not null);
insert into zoo."Sp ace-ü$x" select i, 'x' || i, i, i % 2 = 0 from generate_series(1, 8) i;

create table zoo.typed_key (day date, amount numeric(10,2), at timestamptz, id uuid, ratio double precision, fixed char(3), payload jsonb, primary key (id, day, amount, at, ratio, fixed));
insert into zoo.typed_key select '2024-02-28'::date + i, i / 4.0, '2024-02-29 23:59:59.5+00'::timestamptz + i * interval '1 day', gen_random_uuid(), i / 3.0, 'f', '{}'
  from generate_series(1, 8) i;

create table zoo.text_key (k text primary key, v varchar(40));
insert into zoo.text_key values ('', 'empty'), (' ', null), ('ünï "q" \ 🎉', 'odd'), (E'tab\tnl\n\x1f\x7f', 'control'), (E'\u2028 / \\u00ff', 'escapes'), ('null', 'null');

create table zoo.keyless_full (id int, t text, n numeric(8,3));
alter table zoo.keyless_full replica identity full;
insert into zoo.keyless_full select i, 't' || i, i / 8.0 from generate_series(1, 12) i;

create table zoo.using_index (id int not null, code text not null, note text, big text);
create unique index using_index_identity on zoo.using_index (code, id);
alter table zoo.using_index replica identity using index using_index_identity;
alter table zoo.using_index alter big set storage external;
insert into zoo.using_index select i, 'c' || i, 'n', repeat('x', 3000 * (i % 2)) from generate_series(1, 8) i;

create table zoo.key_and_index (id int primary key, code text not null, note text not null default 'none', unique (code, id));
alter table zoo.key_and_index replica identity using index key_and_index_code_id_key;
insert into zoo.key_and_index select i, 'c' || i from generate_series(1, 8) i;

-- Columns -------------------------------------------------------------------------------------------------------------

create table zoo.generated (id int primary key, price numeric(10,2) not null, count int not null, total numeric generated always as (price * count) stored, note text);
insert into zoo.generated (id, price, count) select i, i / 4.0, i from generate_series(1, 8) i;

create table zoo.dropped (id int primary key, gone text, kept text not null default 'kept', gone_too int, last int);
insert into zoo.dropped select i, 'g', 'k' || i, i, i from generate_series(1, 6) i;
alter table zoo.dropped drop gone, drop gone_too;
alter table zoo.dropped add added text not null default 'it''s added';

create table zoo.partitioned (id int, region text, note text, primary key (id, region)) partition by list (region);
create table zoo.partitioned_north partition of zoo.partitioned for values in ('north', 'n');
create table zoo.partitioned_rest partition of zoo.partitioned default;
insert into zoo.partitioned select i, case when i % 2 = 0 then 'north' else 'south' end, 'n' || i from generate_series(1, 8) i;

create type zoo.drifting_mood as enum ('calm');
create table zoo.drifting (id int primary key, t text not null, n int, note text);

-- Values stored out of line: an update that leaves them alone does not send them.

create table zoo.toast (
  id int primary key, n int, c_text text, c_required text not null, c_varchar varchar, c_jsonb jsonb, c_json json, c_xml xml, c_bytea bytea, c_numeric numeric,
  c_text_array text[], c_int_array int[], c_bigint_array bigint[], c_uuid_array uuid[], c_jsonb_array jsonb[], c_date_array date[], c_bytea_array bytea[],
  c_hstore hstore, c_tsvector tsvector, c_varbit varbit, c_citext citext);
do $$ declare c text; begin
  for c in select attname from pg_attribute where attrelid = 'zoo.toast'::regclass and attnum > 2 loop
    execute format('alter table zoo.toast alter %I set storage %s', c, case c when 'c_numeric' then 'main' else 'external' end);
  end loop;
end $$;
alter table zoo.toast alter c_numeric set storage external;
insert into zoo.toast
  select i, i, repeat('t', size), repeat('r', size), repeat('v', size), jsonb_build_object('k', repeat('j', size)), json_build_object('k', repeat('j', size)),
    xmlelement(name x, repeat('x', size)), decode(repeat('ab', size), 'hex'), repeat('7', size)::numeric, array[repeat('a', size)],
    array(select generate_series(1, size / 2)), array(select generate_series(1, size / 4)::bigint),
    array(select ('00000000-0000-4000-8000-' || lpad(g::text, 12, '0'))::uuid from generate_series(1, size / 8) g),
    array[jsonb_build_object('k', repeat('j', size))], array(select date '2024-01-01' + g from generate_series(1, size / 2) g),
    array[decode(repeat('cd', size), 'hex')], hstore('k', repeat('h', size)),
    (select string_agg('w' || g, ' ') from generate_series(1, size / 2) g)::tsvector, repeat('10', size)::varbit, repeat('C', size)
  from generate_series(1, 8) i, lateral (select case i % 4 when 0 then 20 else 3000 end as size) sizes;

create table zoo.toast_full (like zoo.toast including all);
alter table zoo.toast_full replica identity full;
insert into zoo.toast_full select * from zoo.toast;
