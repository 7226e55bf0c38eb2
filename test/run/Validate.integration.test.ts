import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { Kafka } from "../../src/connections/Kafka.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import { TableName } from "../../src/domain/TableName.ts"
import type { Finding } from "../../src/domain/Finding.ts"
import { entries, type Pipeline } from "../../src/materialize/Pipeline.ts"
import { readWrittenTables } from "../../src/materialize/WrittenTables.ts"
import { checkRights } from "../../src/run/PipelineChecks.ts"
import * as Setup from "../../src/run/Setup.ts"
import * as Validate from "../../src/run/Validate.ts"
import { type CaptureUnderTest, envelope, withCapture } from "./CaptureFixture.ts"

const people = { tables: "public.people", ddl: "create table public.people (id int primary key, email text, born date, bio text)" }

const parted = {
  tables: "public.people, public.parted",
  ddl: `${people.ddl}; create table public.parted (id int primary key, code int not null, name text) partition by range (id);
    create table public.parted_1 partition of public.parted for values from (0) to (10); alter table public.parted replica identity full;
    insert into public.parted values (1, 1, 'a')`
}

const readsEmail: Pipeline = {
  name: "mailing", version: 1, settings: {}, groups: {},
  sources: [entries({
    table: TableName("public", "people"), row: Schema.Struct({ email: Schema.String }), entry: () => null, contribute: () => []
  })]
}

/** Writes a column of a table of the hub, and a table of its own. */
const keeps: Pipeline = {
  name: "keeping", version: 1, settings: {}, sources: [],
  groups: {
    hub: { target: { table: TableName("public", "people"), key: { id: "integer" }, columns: { bio: "text" }, insert: false }, render: () => ({ backed: true, columns: {} }) },
    own: {
      target: { table: TableName("reporting", "totals"), isOurs: true, key: { day: "text" }, columns: { people: "integer" }, insert: true },
      render: () => ({ backed: true, columns: {} })
    }
  }
}

/** What a role is told that has no right but to read. */
const toldReader = (capture: CaptureUnderTest) =>
  Effect.map(capture.provide(Effect.flatMap(Postgres, ({ transaction }) => transaction((sql) =>
    Effect.andThen(sql.query("Becoming a reader", "set local role pg_monitor"), readWrittenTables(sql, [keeps]))))),
    (tables) => checkRights(tables, "pg_monitor").findings)

const findings = (capture: CaptureUnderTest, pipelines: ReadonlyArray<Pipeline> = []) =>
  Effect.map(capture.provide(Validate.validate(pipelines)), ({ checks }) =>
    new Map(checks.filter((check) => check.findings.length > 0).map(({ findings, name }) => [name, findings] as const)))

/** What a healthy development machine is told all the same: its WAL is unlimited, its tables have text, it may be not set up. */
const usual = new Set(["WAL kept for the slot", "large values", "replication slot"])

const serious = (found: ReadonlyMap<string, ReadonlyArray<Finding>>) => Object.fromEntries(
  [...found].filter(([name]) => !usual.has(name)).map(([name, list]) => [name, list.map(({ problem, severity, thing }) => `${severity}: ${thing} ${problem}`)]))

describe("validate", () => {
  it.live("finds nothing before and after setup, and makes nothing itself", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const before = yield* findings(capture)
        assert.deepStrictEqual(serious(before), {})
        assert.deepStrictEqual(before.get("replication slot")!.map(({ severity }) => severity), ["advice"])
        const [made] = yield* capture.sql("select count(*)::int as schemas from pg_namespace where nspname = 'cdc'")
        assert.deepStrictEqual(made, { schemas: 0 })
        assert.deepStrictEqual((yield* Effect.promise(() => capture.topics.admin.listTopics())).filter((topic) => topic.startsWith(capture.topics.prefix)), [])
        yield* capture.setup
        const after = yield* findings(capture)
        assert.deepStrictEqual(serious(after), {})
        assert.isFalse(after.has("replication slot"))
      })))

  it.live("names every table that capture, or the source's own writes, would fail on, with its remedy", () =>
    withCapture({
      tables: "public.people, public.log, public.gone, public.odd, public.parts, public.keyed",
      ddl: `${people.ddl}; create table public.log (line text);
        create table public.odd (id int primary key, code int not null unique); alter table public.odd replica identity using index odd_code_key;
        create table public.parts (id int, at int) partition by range (at); alter table public.parts replica identity full;
        create table public.parts_1 partition of public.parts for values from (0) to (10);
        create table public.keyed (id int primary key, code int not null) partition by range (id); alter table public.keyed replica identity full;
        create table public.keyed_1 partition of public.keyed for values from (0) to (10);
        create table public.keyed_2 partition of public.keyed for values from (10) to (20); create unique index keyed_2_code on public.keyed_2 (code);
        alter table public.keyed_2 replica identity using index keyed_2_code`
    }, (capture) =>
      Effect.gen(function*() {
        const found = yield* findings(capture)
        assert.deepStrictEqual(serious(found), {
          "tables": ["error: Table public.gone is to be captured, and not in the database"],
          "replica identity": [
            "error: Table public.log has no replica identity, so Postgres would reject the hub's UPDATEs and DELETEs once it is published",
            "error: Table public.odd sends its replica identity without its key column id, so deletes would have no key",
            "error: Partition public.parts_1 has no replica identity, so Postgres rejects the hub's UPDATEs and DELETEs once it is published",
            "error: Partition public.keyed_2 sends its replica identity without its key column id, so deletes would have no key",
            "warning: Table public.keyed is REPLICA IDENTITY FULL, and its partition public.keyed_1 is not: Postgres goes by the partition's own, and sends of old rows no more than the key: the rest reads as null"
          ]
        })
        for (const { remedy } of [...found.values()].flat()) assert.match(remedy, /ALTER TABLE|create it|set it|REPLICA IDENTITY|cdc setup/)
        const error = yield* Effect.flip(capture.setup) as Effect.Effect<{ message: string }>
        assert.match(error.message, /^5 things are in the way:\n- Table public\.gone .*\n- Table public\.log .*\n- Table public\.odd .*\n- Partition public\.parts_1 .*\n- Partition public\.keyed_2 /)
      })))

  it.live("sees what was done to the publication, and tables that Postgres would freeze through it", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const publication = `cdc_${capture.database.name}`
        yield* capture.sql(`create table public.stranger (line text); create table public.other (id int primary key);
          alter publication ${publication} drop table public.people, public.fence;
          alter publication ${publication} add table public.people (id, email) where (id > 5), public.stranger, public.other`)
        assert.deepStrictEqual(serious(yield* findings(capture)), {
          "publication": [
            `warning: Publication ${publication} lacks public.fence, whose changes are not sent`,
            "error: Table public.people is published with a row filter (WHERE): rows outside of it are never sent",
            "error: Table public.people is published with a column list: its other columns are never sent",
            `advice: Publication ${publication} publishes public.other, public.stranger, which are not captured`
          ],
          "replica identity": ["error: Table public.stranger is in the publication without a replica identity: Postgres rejects its UPDATEs and DELETEs"]
        })
        yield* capture.sql(`alter publication ${publication} set (publish = 'insert, update')`)
        const [first] = (yield* findings(capture)).get("publication")!
        assert.include(first!.problem, "does not publish delete, truncate")
        yield* capture.sql(`drop publication ${publication}`)
        const missing = yield* findings(capture)
        assert.deepStrictEqual(missing.get("publication")!.map(({ severity }) => severity), ["error"])
        assert.include(missing.get("replication slot")![0]!.remedy, "cdc setup --resnapshot")
      })))

  it.live("tells of columns that old rows lack in the topic, until the table is read again", () =>
    withCapture({ ...people, ddl: `${people.ddl}; insert into public.people values (1); alter table public.people add column early int default 1` }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        assert.deepStrictEqual(serious(yield* findings(capture)), {})
        yield* capture.sql("alter table public.people add column late int default 2, add column nullable int")
        const [finding, ...more] = (yield* findings(capture)).get("columns added with a default")!
        assert.deepStrictEqual(more, [])
        assert.match(finding!.problem, /^got late with a default/)
        assert.strictEqual(finding!.remedy, "`cdc snapshot public.people`")
        yield* capture.sql(`insert into cdc.rereads (slot, table_name, sweep, reason, state) values ('cdc_${capture.database.name}', 'public.people', false, 'asked', 'done')`)
        assert.deepStrictEqual(serious(yield* findings(capture)), {})
      })))

  it.live("recommends FULL where values lie out of line now", () =>
    withCapture({ ...people, ddl: `${people.ddl}; alter table public.people alter bio set storage external; insert into public.people values (1, '', null, repeat('x', 9000))` }, (capture) =>
      Effect.gen(function*() {
        const [finding] = (yield* findings(capture)).get("large values")!
        assert.strictEqual(finding!.severity, "warning")
        assert.match(finding!.problem, /bio/)
        assert.strictEqual(finding!.remedy, "ALTER TABLE public.people REPLICA IDENTITY FULL")
        yield* capture.sql("alter table public.people replica identity full")
        assert.isFalse((yield* findings(capture)).has("large values"))
      })))

  it.live("compares the topics with the configuration", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const { create, prefix, set } = capture.topics
        yield* Effect.promise(() => create([
          { topic: `${prefix}.public.people`, numPartitions: 3, configEntries: [
            { name: "cleanup.policy", value: "compact,delete" }, { name: "max.message.bytes", value: "100000" }, { name: "min.insync.replicas", value: "2" },
            { name: "delete.retention.ms", value: "3600000" }
          ] }
        ]))
        const topic = `Topic ${prefix}.public.people`
        assert.deepStrictEqual(serious(yield* findings(capture)), {
          "partitions": [`error: ${topic} has 3 partitions, but kafka.partitions is 2, and the count is fixed once used, because the order of a key's changes rests on it`],
          "cleanup.policy": [`warning: ${topic} has cleanup.policy compact,delete, and kafka.cleanupPolicy is compact: rows older than its retention are gone for a new reader`],
          "compaction": [
            `warning: ${topic} has delete.retention.ms 1 h, and 168 h are configured: a pipeline that stands still for longer misses deletes`,
            `warning: ${topic} has min.compaction.lag.ms 0 h, and 168 h are configured: a pipeline that stands still for longer misses changes`
          ],
          "max.message.bytes": [`warning: ${topic} takes 100000 bytes, and publish.batchBytes is 786432: all topics get smaller batches, and larger records lack their largest columns`],
          "replication": [`error: ${topic} has 1 replica and min.insync.replicas 2: no record would ever be acknowledged`]
        })
        // The remedy is what it says.
        const remedy = (yield* findings(capture)).get("replication")![0]!.remedy
        const [, name, value] = /--entity-name \S+ --add-config ([\w.]+)=(\d+)$/.exec(remedy)!
        yield* Effect.promise(() => set(`${prefix}.public.people`, name!, value!))
        assert.isFalse((yield* findings(capture)).has("replication"))
      })))

  it.live("refuses to take a column from a key or from a pipeline, and warns of names that are not there", () =>
    withCapture({
      ...people,
      overrides: { columns: {
        exclude: "public.people.id, public.people.email, public.people.nosuch", hash: "other.table.x, public.people.born", truncate: "public.people.bio:5", hashSalt: "short"
      } }
    }, (capture) =>
      Effect.gen(function*() {
        const checked = serious(yield* findings(capture, [readsEmail]))
        assert.deepStrictEqual(checked, { "columns that must not leave": [
          "error: columns.exclude names public.people.id, which is part of its table's key: rows could not be told apart without it",
          "warning: columns.exclude names public.people.nosuch, which public.people has not (yet)",
          "warning: columns.hash names other.table.x, and other.table is not captured",
          "error: columns.exclude names public.people.id, which pipeline mailing reads",
          "error: columns.exclude names public.people.email, which pipeline mailing reads",
          "advice: CDC_COLUMNS_HASH_SALT has less than 16 characters: it can be found by trying"
        ] })
      })))

  it.live("misses a pipeline's own table once setup was run, and setup makes it; of the hub's at any time", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(serious(yield* findings(capture, [keeps])), {})
        yield* capture.setup
        const missed = (yield* findings(capture, [keeps])).get("tables that pipelines write")!
        assert.deepStrictEqual(missed.map(({ problem, remedy, thing }) => [thing, problem, remedy]), [
          ["Table reporting.totals", "of pipeline keeping is not there", "`cdc setup` makes it"]
        ])
        yield* capture.provide(Validate.requireReady(yield* capture.provide(Validate.validate([keeps])))) // refuses nothing that setup mends
        yield* capture.provide(Setup.makeTargets([keeps]))
        assert.deepStrictEqual(serious(yield* findings(capture, [keeps])), {})
        yield* capture.sql("alter table reporting.totals drop column people", "alter table public.people drop column bio")
        assert.deepStrictEqual(serious(yield* findings(capture, [keeps])), {
          "tables that pipelines write": ["error: Table reporting.totals of pipeline keeping has no people"],
          "rights to write them": ["error: Table public.people of pipeline keeping has no bio"]
        })
      })))

  it.live("says what a role lacks to write what pipelines write, and what to run, which is enough", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        const told = yield* toldReader(capture)
        assert.deepStrictEqual(told.map(({ problem, thing }) => `${thing} ${problem}`), [
          "Role pg_monitor may not write public.people, as pipeline keeping does: it lacks select, update",
          "Table reporting.totals of pipeline keeping is not there"
        ])
        const [, statements] = /may run: (.*); and grant/.exec(told[1]!.remedy)!
        yield* capture.sql(told[0]!.remedy, statements!)
        const [closed, ...more] = yield* toldReader(capture)
        assert.deepStrictEqual(more, [])
        assert.include(closed!.problem, "lacks usage on schema reporting, select, insert, update")
        yield* capture.sql(closed!.remedy)
        assert.deepStrictEqual(yield* toldReader(capture), [])
        yield* capture.sql("revoke update on public.people from pg_monitor", "grant update (id, bio) on public.people to pg_monitor")
        assert.deepStrictEqual(yield* toldReader(capture), [], "only our columns are written")
      })))

  it.live("tells a missing topic of events from one of a table: no table fills it", () =>
    withCapture({ ...people, overrides: { kafka: { eventTopics: "made, unmade" } } }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const { prefix, remove } = capture.topics
        yield* Effect.promise(() => remove([`${prefix}.events.unmade`, `${prefix}.public.people`]))
        const [ofTable, ofEvents] = (yield* findings(capture)).get("topics")!
        assert.include(ofTable!.remedy, "cdc snapshot")
        assert.strictEqual(ofEvents!.thing, `Topic ${prefix}.events.unmade`)
        assert.match(ofEvents!.remedy, /^`cdc setup` makes the topic again, .* announced again$/)
      })))

  it.live("works where a publication is there, and nothing of ours", () =>
    withCapture(people, (capture) =>
      Effect.gen(function*() {
        yield* capture.sql(`create publication cdc_${capture.database.name} for table public.people, public.fence with (publish_via_partition_root)`)
        assert.deepStrictEqual(serious(yield* findings(capture)), {})
      })))

  it.live("names what a publication of somebody's leaves out, which setup mends", () =>
    withCapture(parted, (capture) =>
      Effect.gen(function*() {
        const publication = `cdc_${capture.database.name}`
        yield* capture.sql(`create publication ${publication} for table public.parted, public.people where (id > 5), public.fence with (publish = 'insert')`,
          "alter table public.parted_1 replica identity full")
        const found = (yield* findings(capture)).get("publication")!
        assert.deepStrictEqual(found.map(({ problem, remedy }) => [problem.replace(/[:,(].*/, ""), remedy]), [
          ["does not publish update", "`cdc setup` alters it"],
          ["publishes rows of public.parted as those of partitions", "`cdc setup` alters it"],
          ["is published with a row filter ", "`cdc setup` alters it"]
        ])
        yield* capture.setup
        assert.deepStrictEqual(serious(yield* findings(capture)), {})
        yield* capture.start
        yield* capture.caughtUp
        yield* capture.sql("update public.parted set name = 'b'", "insert into public.people values (1)")
        yield* capture.caughtUp
        assert.deepStrictEqual((yield* capture.read("public.parted")).map((record) => envelope(record).op), ["r", "u"])
        assert.strictEqual((yield* capture.read("public.people")).length, 1)
      })), 120_000)

  it.live("says what can't be reached, and looks at the rest", () =>
    withCapture({ ...people, overrides: { kafka: { brokers: "127.0.0.1:1" } } }, (capture) =>
      Effect.gen(function*() {
        const found = yield* findings(capture)
        const noPostgres = yield* Validate.validate([]).pipe(Effect.provide(Layer.mergeAll(Postgres.layer, Kafka.layer).pipe(
          Layer.provideMerge(AppConfig.layerOf({ source: { databaseUrl: "postgres://u:hunter2@127.0.0.1:1/d" }, kafka: { brokers: capture.topics.brokers.join(",") } }))), { local: true }))
        const [postgres, ...others] = noPostgres.checks.filter((check) => check.findings.length > 0)
        assert.strictEqual(postgres!.name, "Postgres")
        assert.match(postgres!.findings[0]!.remedy, /DATABASE_URL/)
        assert.notInclude(JSON.stringify(noPostgres), "hunter2")
        assert.isTrue(noPostgres.checks.some(({ findings, name }) => name === "Kafka" && findings.length === 0))
        assert.deepStrictEqual(others, [])
        assert.deepStrictEqual([...found.keys()].filter((name) => !usual.has(name)), ["Kafka"])
        assert.match(found.get("Kafka")![0]!.remedy, /KAFKA_BROKERS/)
      })))
})
