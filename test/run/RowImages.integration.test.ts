import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { beforeAll } from "vitest"
import { unavailableValue } from "../../src/domain/UnavailableValue.ts"
import { withCapture } from "./CaptureFixture.ts"
import { type Image, streamed } from "./Images.ts"

/** One partition, so that the order is that of the commits. */
const overrides = { kafka: { partitions: 1 } }

/** Stored out of line, because it can't be compressed. */
const big = "(select string_agg(md5(n::text), '') from generate_series(1, 200) n)"
const isBig = (value: unknown): boolean => typeof value === "string" && value.length === 6400
const bigKey = "k".repeat(2500)

const full = (table: string, columns: string) => `create table ${table} (${columns}); alter table ${table} replica identity full;`
const byIndex = (table: string, columns: string, index: string) =>
  `create table ${table} (${columns}); create unique index by_index_key on ${table} ${index}; alter table ${table} replica identity using index by_index_key;`

/** What is done to each table; each statement its own transaction. */
const tables: Readonly<Record<string, { readonly ddl: string; readonly statements: ReadonlyArray<string> }>> = {
  "public.\"Odd Names\"": {
    ddl: `create table public."Odd Names" ("Id" int, "part Of" text, big text, "näme" text, primary key ("part Of", "Id"));`,
    statements: [
      `insert into public."Odd Names" values (9, 'a', ${big}, 'first')`,
      `update public."Odd Names" set "näme" = 'second'`,
      `update public."Odd Names" set "Id" = 10`,
      `delete from public."Odd Names"`
    ]
  },
  "public.big_key": {
    ddl: "create table public.big_key (code text primary key, note text); alter table public.big_key alter code set storage external;",
    statements: [
      `insert into public.big_key values ('${bigKey}', 'first')`,
      "update public.big_key set note = 'second'",
      "update public.big_key set code = code || 'x'",
      "delete from public.big_key"
    ]
  },
  "public.whole": {
    ddl: full("public.whole", "note text, b int, big text, a int, primary key (a, b)"),
    statements: [
      `insert into public.whole values ('first', 1, ${big}, 2)`,
      "update public.whole set note = 'second'",
      "update public.whole set a = 3, note = 'third'",
      "delete from public.whole"
    ]
  },
  "public.unique_only": {
    ddl: `${full("public.unique_only", "v text, code text not null, region text not null, maybe text unique")}
      create unique index a_partial on public.unique_only (code) where v is not null;
      create unique index b_expression on public.unique_only (lower(code));
      create unique index c_key on public.unique_only (region, code) include (v);
      create unique index d_later on public.unique_only (code, region);`,
    statements: [
      "insert into public.unique_only values ('x', 'a', 'eu', null)",
      "update public.unique_only set v = 'y'",
      "update public.unique_only set code = 'b'"
    ]
  },
  "public.keyless": {
    ddl: full("public.keyless", "v text, maybe text unique"),
    statements: ["insert into public.keyless values ('x', 'a')", "update public.keyless set v = 'y', maybe = 'b'", "delete from public.keyless"]
  },
  "public.by_index": {
    ddl: byIndex("public.by_index", "v text, b int not null, a int not null, other int not null unique", "(a, b)"),
    statements: [
      "insert into public.by_index values ('x', 1, 2, 3)", "update public.by_index set v = 'y'", "update public.by_index set b = 4", "delete from public.by_index"
    ]
  }
}

describe("the rows of each change", () => {
  const images = new Map<string, ReadonlyArray<Image>>()
  const imagesOf = (table: string) => images.get(table)!

  beforeAll(() =>
    Effect.runPromise(withCapture({ tables: Object.keys(tables).join(", "), ddl: Object.values(tables).map(({ ddl }) => ddl).join("\n"), overrides }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        for (const statement of Object.values(tables).flatMap(({ statements }) => statements)) {
          yield* capture.sql(statement)
        }
        yield* capture.caughtUp
        for (const table of Object.keys(tables)) images.set(table, streamed(yield* capture.read(table.replaceAll("\"", "").replace(" ", "_"))))
      }))))

  it("of REPLICA IDENTITY DEFAULT: no old row but a moved one's key, and a placeholder for what is large and did not change", () => {
    const [inserted, updated, deleted, tombstone, created, ...rest] = imagesOf(`public."Odd Names"`)
    const [oldKey, newKey] = [`{"part Of":"a","Id":9}`, `{"part Of":"a","Id":10}`]
    const onlyKey = { Id: 9, "part Of": "a", big: null, näme: null }
    const second = { Id: 9, "part Of": "a", big: unavailableValue, näme: "second" }
    assert.isTrue(isBig(inserted!.after!.big))
    assert.deepStrictEqual([updated, deleted, tombstone, created, ...rest], [
      { key: oldKey, op: "u", before: null, after: second, order: [1, 1] },
      { key: oldKey, op: "d", before: onlyKey, after: null, order: [1, 1], newKey },
      { key: oldKey, op: "tombstone", newKey },
      { key: newKey, op: "c", before: null, after: { ...second, Id: 10 }, order: [2, 2], oldKey },
      { key: newKey, op: "d", before: { ...onlyKey, Id: 10 }, after: null, order: [1, 1] },
      { key: newKey, op: "tombstone" }
    ])
  })

  it("whose key is stored out of line: it is taken from the old key", () => {
    const images = imagesOf("public.big_key")
    const [oldKey, newKey] = [JSON.stringify({ code: bigKey }), JSON.stringify({ code: `${bigKey}x` })]
    assert.deepStrictEqual(images.map(({ key, op }) => [op, key]), [
      ["c", oldKey], ["u", oldKey], ["d", oldKey], ["tombstone", oldKey], ["c", newKey], ["d", newKey], ["tombstone", newKey]
    ])
    assert.deepStrictEqual(images[1]!.after, { code: bigKey, note: "second" })
  })

  it("of REPLICA IDENTITY FULL: both rows whole, what is large included, also when the key changes", () => {
    const [inserted, ...rest] = imagesOf("public.whole")
    const first = inserted!.after!
    assert.isTrue(isBig(first.big))
    const [oldKey, newKey] = [`{"a":2,"b":1}`, `{"a":3,"b":1}`]
    const second = { ...first, note: "second" }
    const third = { ...first, note: "third", a: 3 }
    assert.deepStrictEqual(rest, [
      { key: oldKey, op: "u", before: first, after: second, order: [1, 1] },
      { key: oldKey, op: "d", before: second, after: null, order: [1, 1], newKey },
      { key: oldKey, op: "tombstone", newKey },
      { key: newKey, op: "c", before: null, after: third, order: [2, 2], oldKey },
      { key: newKey, op: "d", before: third, after: null, order: [1, 1] },
      { key: newKey, op: "tombstone" }
    ])
  })

  it("of REPLICA IDENTITY FULL without a primary key: keyed by the first unique index by name that no NULL can be in", () => {
    const [oldKey, newKey] = [`{"region":"eu","code":"a"}`, `{"region":"eu","code":"b"}`]
    assert.deepStrictEqual(imagesOf("public.unique_only").map(({ key, op }) => [op, key]), [
      ["c", oldKey], ["u", oldKey], ["d", oldKey], ["tombstone", oldKey], ["c", newKey]
    ])
  })

  it("of a table without any key: an update is never a move", () => {
    const [x, y] = [{ v: "x", maybe: "a" }, { v: "y", maybe: "b" }]
    assert.deepStrictEqual(imagesOf("public.keyless"), [
      { key: null, op: "c", before: null, after: x, order: [1, 1] },
      { key: null, op: "u", before: x, after: y, order: [1, 1] },
      { key: null, op: "d", before: y, after: null, order: [1, 1] },
      { key: null, op: "tombstone" }
    ])
  })

  it("of REPLICA IDENTITY USING INDEX without a primary key: the index is the key, in its order", () => {
    const [oldKey, newKey] = [`{"a":2,"b":1}`, `{"a":2,"b":4}`]
    const onlyKey = { v: null, b: 1, a: 2, other: null }
    assert.deepStrictEqual(imagesOf("public.by_index"), [
      { key: oldKey, op: "c", before: null, after: { v: "x", b: 1, a: 2, other: 3 }, order: [1, 1] },
      { key: oldKey, op: "u", before: null, after: { v: "y", b: 1, a: 2, other: 3 }, order: [1, 1] },
      { key: oldKey, op: "d", before: onlyKey, after: null, order: [1, 1], newKey },
      { key: oldKey, op: "tombstone", newKey },
      { key: newKey, op: "c", before: null, after: { v: "y", b: 4, a: 2, other: 3 }, order: [2, 2], oldKey },
      { key: newKey, op: "d", before: { ...onlyKey, b: 4 }, after: null, order: [1, 1] },
      { key: newKey, op: "tombstone" }
    ])
  })
})

describe("REPLICA IDENTITY that has no right answer", () => {
  const refused = {
    left_out: "create table public.left_out (id int primary key, code text not null unique); alter table public.left_out replica identity using index left_out_code_key",
    nothing: "create table public.nothing (id int primary key); alter table public.nothing replica identity nothing",
    no_primary: "create table public.no_primary (id int not null unique)",
    deferrable: "create table public.deferrable (id int primary key deferrable)",
    index_gone: `create table public.index_gone (id int not null unique); alter table public.index_gone replica identity using index index_gone_id_key;
      alter table public.index_gone drop constraint index_gone_id_key`
  }

  it.live("is refused before anything is made", () =>
    withCapture({ tables: Object.keys(refused).map((table) => `public.${table}`).join(", "), ddl: Object.values(refused).join(";\n") }, (capture) =>
      Effect.gen(function*() {
        const { message } = (yield* Effect.flip(capture.setup)) as Error
        for (const table of Object.keys(refused)) assert.match(message, new RegExp(`public\\.${table} .*REPLICA IDENTITY`))
        assert.lengthOf(yield* capture.sql("select from pg_publication"), 0)
      })))

  it.live("NOTHING, given to a table while it is captured, has inserts with their key; Postgres rejects the rest", () =>
    withCapture({ tables: "public.t", ddl: "create table public.t (id int primary key, v text)", overrides }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        yield* capture.sql("alter table public.t replica identity nothing; insert into public.t values (1, 'x')")
        const refusal = yield* Effect.promise(() => capture.database.query("update public.t set v = 'y'").then(() => "", String))
        assert.match(refusal, /does not have a replica identity and publishes updates/)
        yield* capture.sql("truncate public.t")
        yield* capture.caughtUp
        const [inserted, truncated] = streamed(yield* capture.read("public.t")) // the sweep's delete follows some time after
        assert.deepStrictEqual([inserted, truncated].map((image) => [image?.op, image?.key]), [["c", `{"id":1}`], ["t", `{"__cdc_truncate":"public.t"}`]])
      })))
})
