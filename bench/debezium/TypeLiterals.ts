/**
 * Types and values to compare, as SQL literals, by groups that become tables: every type that a Postgres server ships,
 * its edges, and the values known to hurt.
 */
export interface TypeLiterals {
  readonly type: string
  readonly literals: ReadonlyArray<string>
  /** In a NOT NULL column Debezium's task stops at these. */
  readonly onlyNullable?: ReadonlyArray<string>
  /** From Postgres 17 on. */
  readonly from17?: ReadonlyArray<string>
}

const of = (type: string, ...literals: ReadonlyArray<string>): TypeLiterals => ({ type, literals })
/** Debezium reads null, in some values or always. */
const nullOf = (type: string, literals: ReadonlyArray<string>, onlyNullable: ReadonlyArray<string>): TypeLiterals => ({ type, literals, onlyNullable })

const nines = "9".repeat(60)

export const groups: Readonly<Record<string, ReadonlyArray<TypeLiterals>>> = {
  numbers: [
    of("boolean", "true", "false"),
    of("smallint", "0", "-32768", "32767"),
    of("integer", "0", "-2147483648", "2147483647"),
    of("bigint", "0", "-9223372036854775808", "9223372036854775807", "9007199254740993"),
    of("oid", "0", "4294967295"),
    of("real", "0", "3.14", "-1e-20", "3.4e38", "1e10", "'NaN'", "'Infinity'", "'-Infinity'", "16777216", "0.1", "'-0'", "1e7", "123456.78"),
    of("double precision", "0", "3.141592653589793", "1e21", "1e-7", "1.7976931348623157e308", "'NaN'", "'Infinity'", "'-Infinity'",
      "12345678", "1e7", "9999999", "0.001", "'-0'", "5e-324"),
    of("numeric", "0", "1", "-1", "123.45", "-123.450", "100", "1e20", "0.000001", nines, `-${nines}.${nines}`, "1.00", "-128", "128", "255",
      "-129", "0.00", "1200", "1e-20", "'NaN'", "'Infinity'", "'-Infinity'"),
    of("numeric(10,2)", "0", "1", "-1", "123.45", "-123.45", "99999999.99", "-99999999.99", "1.28", "-1.28", "2.55", "0.01", "'NaN'"),
    of("numeric(5)", "0", "12345", "-12345", "128"),
    of("numeric(38,10)", "0", "1234567890123456789012345678.0123456789", "-0.0000000001"),
    of("numeric(3,-2)", "0", "12300", "-99900"),
    of("numeric(3,5)", "0.00123", "-0.00001", "0"),
    of("money", "0", "12.34", "-12.34", "1234567.89", "92233720368547758.07", "'-92233720368547758.08'")
  ],
  texts: [
    of("text", "''", "'plain'", String.raw`E'quote " back \\ slash / tab \t nl \n cr \r nul-ish \x01 del \x7f'`, "'ünï → 🎉 𝄞'",
      String.raw`E'\u2028\u2029\ufeff'`, "'null'", "'</script>'", "'__debezium_unavailable_value'"),
    of("varchar(20)", "'v'", "''", "'  spaced  '"),
    of("varchar", "'free'"),
    of("char(6)", "'ab'", "''", "'abcdef'"),
    of("char", "'x'", "' '"),
    of("bpchar", "'ab  '"),
    of("\"char\"", "'q'"),
    of("name", "'some_name'"),
    of("uuid", "'00000000-0000-0000-0000-000000000000'", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"),
    of("json", `'{"b": 1,   "a": [1, 2.0, 1e400], "dup": 1, "dup": 2}'`, "'null'", `'"str"'`, "'12345678901234567890.1234567890'", "'[]'"),
    of("jsonb", `'{"b": 1,   "a": [1, 2.0, 12345678901234567890123], "dup": 1, "dup": 2}'`, "'null'", String.raw`'"stré\u00e9 \" q"'`, "'1.10'", "'{}'"),
    of("xml", `'<a b="c">d</a>'`),
    of("zoo.mood", "'sad'", "'very happy'", `'it''s "ok"'`),
    of("public.pmood", "'a'", "'b'"),
    of("inet", "'192.168.1.5'", "'10.1.2.3/8'", "'::1'", "'2001:db8::/32'"),
    of("cidr", "'10.0.0.0/8'", "'2001:db8::/32'", "'192.168.1.1/32'"),
    of("macaddr", "'08:00:2b:01:02:03'"),
    of("macaddr8", "'08:00:2b:01:02:03:04:05'"),
    of("tsvector", "'a fat cat:3A sat'"),
    of("citext", "'CiText'"),
    of("hstore", String.raw`'a=>1, b=>NULL, "q k"=>"v \"x\""'`, "''"),
    of("ltree", "'Top.Science.Astro'"),
    of("zoo.dom_text", "'dom'"),
    of("zoo.dom_num", "12.34"),
    of("zoo.dom_int", "7")
  ],
  bits: [
    of("bit(1)", "B'1'", "B'0'"),
    of("bit(8)", "B'10000000'", "B'00000001'", "B'11111111'"),
    of("bit(10)", "B'1000000001'", "B'0000000000'"),
    of("varbit", "B'1'", "B'101'", "B'100000000'", "B''"),
    of("varbit(10)", "B'1011'"),
    of("bytea", String.raw`'\x'`, String.raw`'\x00ff10'`, String.raw`'\xdeadbeefcafe'`),
    of("zoo.dom_bytea", String.raw`'\x01'`)
  ],
  times: [
    of("date", "'2024-02-29'", "'1970-01-01'", "'1969-12-31'", "'0001-01-01'", "'9999-12-31'", "'1582-10-10'", "'infinity'", "'-infinity'",
      "'0044-03-15 BC'", "'5874897-12-31'"),
    of("time", "'00:00:00'", "'23:59:59.999999'", "'12:34:56.7'", "'24:00:00'"),
    of("time(0)", "'12:34:56'"),
    of("time(3)", "'12:34:56.789'"),
    of("time(6)", "'12:34:56.789012'"),
    of("timetz", "'11:51:30.123789+00'", "'13:51:30+02'", "'00:00:00-08:30'", "'23:59:59.5+14'", "'24:00:00+00'"),
    of("timetz(3)", "'11:51:30.123+00'", "'13:51:30.1+02'"),
    of("timestamp", "'2024-02-29 23:59:59.123456'", "'1970-01-01 00:00:00'", "'1969-12-31 23:59:59.999999'", "'0001-01-01 00:00:00'",
      "'9999-12-31 23:59:59.999999'", "'2026-03-29 02:30:00.5'", "'1582-10-10 12:00:00'", "'infinity'", "'-infinity'", "'0044-03-15 12:00:00 BC'",
      "'294276-12-31 23:59:59'"),
    of("timestamp(0)", "'2024-02-29 23:59:59.123456'", "'1970-01-01 00:00:00'", "'1969-12-31 23:59:59.999999'", "'0001-01-01 00:00:00'",
      "'9999-12-31 23:59:59.999999'", "'2026-03-29 02:30:00.5'", "'infinity'", "'-infinity'"),
    of("timestamp(3)", "'2024-02-29 23:59:59.123456'", "'1970-01-01 00:00:00'", "'1969-12-31 23:59:59.999999'", "'0001-01-01 00:00:00'",
      "'9999-12-31 23:59:59.999999'", "'2026-03-29 02:30:00.5'", "'infinity'", "'-infinity'"),
    of("timestamp(4)", "'2024-02-29 23:59:59.123456'", "'1970-01-01 00:00:00'"),
    of("timestamptz", "'2024-02-29 23:59:59.123456+00'", "'1970-01-01 00:00:00+00'", "'2026-07-01 12:00:00.1+05:30'", "'2016-11-04 11:51:30.123+00'",
      "'0001-01-01 00:00:00+00'", "'9999-12-31 23:59:59.999999+00'", "'1883-11-18 12:03:57-05'", "'infinity'", "'-infinity'",
      "'0044-03-15 12:00:00+00 BC'", "'294276-12-31 23:59:59+00'"),
    of("timestamptz(0)", "'2024-02-29 23:59:59.123456+00'", "'1970-01-01 00:00:00+00'", "'2026-07-01 12:00:00.1+05:30'", "'2016-11-04 11:51:30.123+00'"),
    of("timestamptz(3)", "'2024-02-29 23:59:59.123456+00'", "'1970-01-01 00:00:00+00'", "'2026-07-01 12:00:00.1+05:30'", "'2016-11-04 11:51:30.123+00'"),
    {
      type: "interval",
      literals: ["'0'", "'1 year 2 mons 3 days 04:05:06.789'", "'-1 mons'", "'3 days'", "'-00:00:00.000001'", "'100 years'", "'1 day -02:03:04'", "'178000000 years'"],
      from17: ["'infinity'", "'-infinity'"]
    },
    of("interval year to month", "'1-2'")
  ],
  arrays: [
    of("smallint[]", "'{1,NULL,-3}'", "'{}'"),
    of("int[]", "'{1,2,3}'", "'{NULL}'", "'{{1,2},{3,4}}'"),
    of("bigint[]", "'{9223372036854775807,-1}'"),
    of("text[]", String.raw`'{a,NULL,"NULL","","with \"quote\"","back\\slash","comma,brace}","ünï"}'`, "'{}'", "'[0:1]={a,b}'",
      "array['a' || chr(10) || 'b', '{x}', 'c:d']"),
    of("varchar(10)[]", "'{x,y}'"),
    of("char(3)[]", "'{a,bc}'"),
    nullOf("numeric[]", ["'{1.10,NULL,-3}'"], ["'{NaN}'"]),
    of("numeric(10,2)[]", "'{1.10,NULL,-3}'"),
    of("real[]", "'{1.5,NULL,1e10}'", "'{NaN}'"),
    of("double precision[]", "'{1.5,1e21}'"),
    of("boolean[]", "'{t,f,NULL}'"),
    of("date[]", "'{2024-02-29,NULL}'", "'{infinity}'"),
    of("time[]", "'{12:34:56.7}'", "'{24:00:00}'"),
    of("timetz[]", "'{11:51:30.123789+00}'"),
    of("timestamp[]", `'{"2024-02-29 23:59:59.123456",NULL}'`, "'{infinity}'"),
    of("timestamptz[]", `'{"2024-02-29 23:59:59.123456+00",NULL}'`, "'{infinity}'"),
    of("uuid[]", "'{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}'"),
    of("json[]", String.raw`'{"{\"a\": 1}",NULL,"[1, 2]"}'`, `array['{"a":"x,y"}'::json]`),
    of("jsonb[]", String.raw`'{"{\"a\": 1}",NULL}'`),
    of("inet[]", "'{10.0.0.1,10.0.0.0/8}'"),
    of("cidr[]", "'{10.0.0.0/8}'"),
    of("macaddr[]", "'{08:00:2b:01:02:03}'"),
    of("macaddr8[]", "'{08:00:2b:01:02:03:04:05}'"),
    of("bytea[]", String.raw`'{"\\x00ff",NULL}'`, String.raw`array['\x01'::bytea]`),
    nullOf("zoo.mood[]", [`'{sad,"very happy"}'`], ["'{sad,NULL}'"]),
    nullOf("public.pmood[]", ["'{a,b}'"], ["'{a,NULL}'"]),
    nullOf("bit(4)[]", [], ["'{1010}'"]),
    of("oid[]", "'{1}'"),
    of("int4range[]", `'{"[1,5)",empty}'`),
    of("int8range[]", `'{"[1,2)"}'`),
    of("tstzrange[]", "array[tstzrange('2024-01-01+00', '2024-02-01+00')]"),
    of("citext[]", "'{Ab}'"),
    of("hstore[]", "array['a=>1'::hstore]"),
    of("ltree[]", "'{a.b}'")
  ],
  ranges: [
    of("int4range", "'[1,5)'", "'empty'", "'(,10)'"),
    of("int8range", "'[1,5]'"),
    of("numrange", "'[1.5,2.50]'"),
    of("tsrange", "'[2024-01-01,2024-02-01)'"),
    of("tstzrange", "'[2024-01-01 00:00:00+00,2024-02-01 00:00:00+05)'", "'(,infinity)'"),
    of("daterange", "'[2024-01-01,2024-01-31]'"),
    of("point", "'(1.5,-2)'")
  ],
  unmapped: [
    of("tsquery", "'fat & rat'"),
    of("int4multirange", "'{[1,3),[5,8)}'"),
    of("line", "'{1,2,3}'"),
    of("box", "'(1,1),(0,0)'"),
    of("path", "'[(0,0),(1,1)]'"),
    of("polygon", "'((0,0),(1,1),(1,0))'"),
    of("circle", "'<(0,0),5>'"),
    of("pg_lsn", "'16/B374D848'"),
    of("xid8", "'123'"),
    of("jsonpath", "'$.a'"),
    of("zoo.pair", "'(1,x)'"),
    of("regclass", "'pg_class'"),
    of("money[]", "'{1.23}'"),
    of("interval[]", "'{1 day}'"),
    of("varbit[]", "'{101}'"),
    of("point[]", "array[point(1,2)]"),
    of("name[]", "'{n}'"),
    of("xml[]", "array['<a/>'::xml]")
  ]
}
