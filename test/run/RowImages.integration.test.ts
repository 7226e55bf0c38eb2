import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { beforeAll } from "vitest"
import { unavailableValue } from "../../src/domain/UnavailableValue.ts"
import { disorder, type Envelope, envelope, withCapture } from "./CaptureFixture.ts"
import type { ReadRecord } from "../support/TestTopics.ts"

/** What a record says of its row, for comparing. */
interface Image {
  readonly key: string | null
  readonly op: string
  readonly before?: Envelope["before"]
  readonly after?: Envelope["after"]
  readonly order?: readonly [total: number, ofTable: number]
  readonly newKey?: string
  readonly oldKey?: string
}

const imageOf = (record: ReadRecord): Image => {
  const { "__debezium.newkey": newKey, "__debezium.oldkey": oldKey } = record.headers
  const moved = newKey !== undefined ? { newKey } : oldKey !== undefined ? { oldKey } : {}
  const key = record.key === null ? null : record.key.toString()
  if (record.value === null) return { key, op: "tombstone", ...moved }
  const { after, before, op, transaction } = envelope(record)
  return { key, op, before, after, order: [transaction.total_order, transaction.data_collection_order], ...moved }
}

/** In the order of positions; a tombstone behind its delete. Without the reads of the snapshot. */
const streamed = (records: ReadonlyArray<ReadRecord>) => {
  assert.deepStrictEqual(disorder(records), [])
  return records.map(imageOf).filter(({ op }) => op !== "r")
}

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
          yield* Effect.promise(() => capture.database.query(statement))
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
        assert.lengthOf(yield* Effect.promise(() => capture.database.query("select from pg_publication")), 0)
      })))

  it.live("that leaves the primary key out, given to a table while it is captured, stops at the first change without a key", () =>
    withCapture({
      tables: "public.t", overrides,
      ddl: "create table public.t (id int primary key, code text not null unique)"
    }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const running = yield* capture.start
        yield* capture.caughtUp
        const run = (statement: string) => Effect.promise(() => capture.database.query(statement))
        yield* run("insert into public.t values (1, 'a'), (2, 'b')")
        yield* run("alter table public.t replica identity using index t_code_key")
        yield* run("update public.t set id = 3 where id = 1") // its key moves, and the old one is not sent
        yield* run("delete from public.t where id = 2")
        const error = yield* Effect.flip(Fiber.join(running))
        assert.match(error.message, /public\.t: Postgres did not send the key column id.*REPLICA IDENTITY DEFAULT.*cdc setup --resnapshot/)
      })))

  it.live("NOTHING, given to a table while it is captured, has inserts with their key; Postgres rejects the rest", () =>
    withCapture({ tables: "public.t", ddl: "create table public.t (id int primary key, v text)", overrides }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        const run = (statement: string) => Effect.promise(() => capture.database.query(statement))
        yield* run("alter table public.t replica identity nothing; insert into public.t values (1, 'x')")
        const refusal = yield* Effect.promise(() => capture.database.query("update public.t set v = 'y'").then(() => "", String))
        assert.match(refusal, /does not have a replica identity and publishes updates/)
        yield* run("truncate public.t")
        yield* capture.caughtUp
        assert.deepStrictEqual(streamed(yield* capture.read("public.t")).map(({ key, op }) => [op, key]),
          [["c", `{"id":1}`], ["t", `{"__cdc_truncate":"public.t"}`]])
      })))
})

describe("TRUNCATE", () => {
  const tables = {
    tables: "public.parent, public.child, public.log",
    ddl: `create table public.parent (id int primary key); create table public.child (id int primary key, parent int references public.parent);
      create table public.log (line text); alter table public.log replica identity full`
  }
  const work = "insert into public.parent values (1); truncate public.parent, public.log cascade; insert into public.child values (2); insert into public.log values ('x')"

  it.live("of several tables, and of what it cascades to, is one of each, in every partition, in its place", () =>
    withCapture(tables, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        yield* Effect.promise(() => capture.database.query(work))
        yield* capture.caughtUp
        const seen = new Map<string, ReadonlyArray<ReadRecord>>()
        for (const table of ["parent", "child", "log"]) seen.set(table, yield* capture.read(`public.${table}`))
        for (const records of seen.values()) assert.deepStrictEqual(disorder(records), [])
        const truncates = [...seen].flatMap(([table, records]) => records.filter((record) => envelope(record).op === "t").map((record) =>
          [table, record.partition, record.key?.toString() ?? null, envelope(record).transaction.data_collection_order]))
        assert.deepStrictEqual(truncates, [
          ["parent", 0, `{"__cdc_truncate":"public.parent"}`, 2], ["parent", 1, `{"__cdc_truncate":"public.parent"}`, 2],
          ["child", 0, `{"__cdc_truncate":"public.child"}`, 1], ["child", 1, `{"__cdc_truncate":"public.child"}`, 1],
          ["log", 0, null, 1], ["log", 1, null, 1]
        ])
        const orders = new Set([...seen.values()].flat().map((record) => envelope(record).transaction.total_order))
        assert.deepStrictEqual([...orders].toSorted(), [1, 2, 3, 4, 5, 6])
      })))

  it.live("that is turned off leaves its place in the order free", () =>
    withCapture({ ...tables, overrides: { publish: { truncates: false }, ...overrides } }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        yield* Effect.promise(() => capture.database.query(work))
        yield* capture.caughtUp
        const child = streamed(yield* capture.read("public.child"))
        assert.deepStrictEqual(child.map(({ op, order }) => [op, order]), [["c", [5, 2]]])
        assert.deepStrictEqual(streamed(yield* capture.read("public.log")).map(({ op, order }) => [op, order]), [["c", [6, 2]]])
      })))
})

describe("total_order", () => {
  it.live("counts what the server sends, whatever each table's identity, savepoints and aborted work", () =>
    withCapture({
      tables: "public.d, public.f, public.i", overrides,
      ddl: `create table public.d (id int primary key, v text); create table public.f (id int primary key, v text); alter table public.f replica identity full;
        create table public.i (id int not null unique, v text); alter table public.i replica identity using index i_id_key`
    }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        const of = (table: string) => `insert into public.${table} values (1, 'a'), (2, 'b'); update public.${table} set v = 'c' where id = 1;
          savepoint s; delete from public.${table}; rollback to s; update public.${table} set id = 3 where id = 2; delete from public.${table} where id = 1;`
        yield* Effect.promise(() => capture.database.query(`begin; ${of("d")} select pg_logical_emit_message(true, 'mine', 'x'); ${of("f")} ${of("i")} commit`))
        yield* capture.caughtUp
        const expected = (first: number) => [
          ["c", [first, 1]], ["c", [first + 1, 2]], ["u", [first + 2, 3]], ["d", [first + 3, 4]], ["tombstone", undefined],
          ["c", [first + 4, 5]], ["d", [first + 5, 6]], ["tombstone", undefined]
        ]
        for (const [table, first] of [["d", 1], ["f", 7], ["i", 13]] as const) {
          const images = streamed(yield* capture.read(`public.${table}`))
          assert.deepStrictEqual(images.map(({ op, order }): unknown => [op, order]), expected(first))
        }
      })))
})
