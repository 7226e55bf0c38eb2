import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { readFileSync } from "node:fs"
import { inject } from "vitest"
import type { OutgoingRecord } from "../../src/domain/OutgoingRecord.ts"
import { type CaptureUnderTest, withCapture } from "./CaptureFixture.ts"
import { rereading } from "./Rereading.ts"

interface Case {
  readonly type: string
  readonly literal: string
  readonly expected: string
}

const cases = JSON.parse(readFileSync(new URL("../fixtures/values/values.json", import.meta.url), "utf8")) as ReadonlyArray<Case>

/** A column for each; a row holds them all. Infinite intervals came with Postgres 17. */
const columnsOn = (version: string) =>
  cases.filter(({ literal, type }) => version !== "15" || type !== "interval" || !literal.includes("infinity"))
    .map((one, index) => ({ ...one, name: `c${index}` }))

const types = `
  create extension hstore; create extension citext; create extension ltree; create extension cube; create extension seg;
  create extension isn; create extension intarray; create extension lo;
  create schema zoo; create type zoo.mood as enum ('sad', 'very happy', 'it''s "ok"'); create type public.pmood as enum ('a', 'b');
  create type zoo.pair as (a int, b text); create type zoo.floats as range (subtype = float8);
  create domain zoo.dom_text as text; create domain zoo.dom_num as numeric(10,2); create domain zoo.dom_int as int;
  create domain zoo.dom_bytea as bytea; create domain zoo.dom_array as int[]; create domain zoo.dom_of_dom as zoo.dom_num;`

const records = (capture: CaptureUnderTest, table: string) =>
  capture.written.filter((record) => record.topic.endsWith(`.${table}`) && record.value !== null)

/** The text of `after`, byte for byte. Nothing in these rows looks like the field that comes behind it. */
const afterOf = (record: OutgoingRecord): string => /"after":(.*),"source":\{"version"/s.exec(record.value!.toString())![1]!

/** JSON strings in one spelling (`\u2028` or the character itself); numbers stay as they are written. */
const spelledAlike = (json: string) => json.replace(/"(?:[^"\\]|\\.)*"/gs, (string) => JSON.stringify(JSON.parse(string)))

/** Splits an object's text at its members; the tests' column names occur in no value. */
const members = (json: string): ReadonlyArray<string> => json.slice(1, -1).split(/,(?="c\d+":)/)

const servers = [{ version: "18", server: undefined, hasGenerated: true }, { version: "15", server: inject("postgres15Url"), hasGenerated: false }]

describe.each(servers)("Postgres $version", ({ hasGenerated, server, version }) => {
  const columns = columnsOn(version)
  const insert = (id: number) => `insert into zoo.every_type values (${id}, ${columns.map(({ literal }) => literal).join(", ")})`

  it.live.skipIf(version === "15" && server === undefined)("writes every type as expected, from the snapshot, from the stream and read again", () =>
    withCapture({
      ...(server === undefined ? {} : { server }),
      tables: "zoo.every_type",
      // Wider than a page: most of it is stored out of line, uncompressed, which is no different to whoever reads it.
      ddl: `${types} create table zoo.every_type (id int primary key, ${columns.map(({ name, type }) => `${name} ${type}`).join(", ")},
        generated bigint generated always as (9007199254740993 + id - id) stored ${hasGenerated ? ", never int generated always as (id) virtual" : ""})`
    }, (capture) =>
      Effect.gen(function*() {
        yield* capture.sql(insert(1))
        yield* capture.setup
        yield* capture.start
        yield* capture.until((record) => record.topic.endsWith(".every_type"))
        yield* capture.sql(insert(2))
        yield* capture.caughtUp
        const again = yield* rereading(capture)
        yield* Effect.flatMap(again.ask("zoo.every_type"), again.finished)
        const [read, ...others] = records(capture, "every_type").map(afterOf)
        // Streamed, and both rows as they are read again.
        assert.deepStrictEqual(others, [read!.replace("\"id\":1", "\"id\":2"), read, read!.replace("\"id\":1", "\"id\":2")])

        const [id, ...values] = members(read!.replace(/,"generated":9007199254740993\}$/, "}"))
        assert.strictEqual(id, "\"id\":1")
        const seen = columns.map(({ literal, type }, index) => `${type} ${literal} ${spelledAlike(values[index]!)}`)
        const wanted = columns.map(({ expected, literal, name, type }) => `${type} ${literal} ${spelledAlike(`"${name}":${expected}`)}`)
        assert.deepStrictEqual(seen, wanted)
        assert.strictEqual(read!.includes("\"generated\""), hasGenerated)
      })))
})

describe("types that change while they are captured", () => {
  it.live("are written as they are at each change", () =>
    withCapture({
      tables: "zoo.t, zoo.again",
      ddl: `create schema zoo; create type zoo.mood as enum ('sad'); create domain zoo.amount as numeric(6, 2); create type zoo.pair as (a int, b text);
        create table zoo.t (id int primary key, m zoo.mood, ms zoo.mood[], n zoo.amount, p zoo.pair);
        create table zoo.again (id int primary key, v zoo.pair)`
    }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        yield* capture.start
        yield* capture.caughtUp
        yield* capture.sql("insert into zoo.t values (1, 'sad', '{sad}', 1.5, '(1,x)'); insert into zoo.again values (1, '(1,x)')")
        yield* capture.sql("alter type zoo.mood add value 'very happy'")
        yield* capture.sql("insert into zoo.t values (2, 'very happy', '{very happy,sad}', 2, '(2,y)')")
        yield* capture.sql("alter type zoo.pair add attribute c boolean; insert into zoo.t values (3, null, null, null, '(3,z,t)')")
        // Another type of the same name, and of another kind.
        yield* capture.sql("alter table zoo.again drop v; drop type zoo.pair cascade; create type zoo.pair as enum ('one'); alter table zoo.again add v zoo.pair")
        yield* capture.sql("insert into zoo.again values (2, 'one')")
        yield* capture.sql("alter table zoo.again drop v; drop type zoo.pair; create domain zoo.pair as int; alter table zoo.again add v zoo.pair; insert into zoo.again values (3, 4)")
        yield* capture.caughtUp
        const after = (table: string) => records(capture, table).map((record) => JSON.parse(afterOf(record)) as unknown)
        assert.deepStrictEqual(after("t"), [
          { id: 1, m: "sad", ms: ["sad"], n: "1.50", p: "(1,x)" },
          { id: 2, m: "very happy", ms: ["very happy", "sad"], n: "2.00", p: "(2,y)" },
          { id: 3, m: null, ms: null, n: null, p: "(3,z,t)" }
        ])
        assert.deepStrictEqual(after("again"), [{ id: 1, v: "(1,x)" }, { id: 2, v: "one" }, { id: 3, v: 4 }])
      })))

  it.live("and are gone before their rows are read stay text, whatever they were", () =>
    withCapture({ tables: "zoo.t", ddl: "create schema zoo; create type zoo.mood as enum ('sad'); create table zoo.t (id int primary key, m zoo.mood, n int)" }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const first = yield* capture.start
        yield* capture.caughtUp
        yield* capture.caughtUp // the first one's row may have been in the snapshot
        yield* Fiber.interrupt(first)
        for (const statement of ["insert into zoo.t values (1, 'sad', 2)", "alter table zoo.t drop m", "drop type zoo.mood"]) {
          yield* capture.sql(statement)
        }
        yield* capture.start
        yield* capture.caughtUp
        assert.deepStrictEqual(records(capture, "t").map((record) => JSON.parse(afterOf(record)) as unknown), [{ id: 1, m: "sad", n: 2 }])
      })))
})
