import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import pg from "pg"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as Lsn from "../../src/domain/Lsn.ts"
import { prepare } from "../../src/embedded/hub/Hub.ts"
import { type CdcProcess, freePort, runCdc, startCdc, waitForStatus } from "../support/CdcProcess.ts"
import * as Proxy from "../support/Proxy.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"
import { brokenChains, storedTiers, type TierEvent, tierEvent } from "../support/TierChain.ts"

const servers = Layer.mergeAll(TestDatabase.layer, TestTopics.layer)
const hub = Postgres.layer.pipe(Layer.provideMerge(TestConfig.layer()), Layer.provideMerge(servers))

layer(hub, { excludeTestServices: true })("processes that are killed while a tier changes", (it) => {
  it.effect("announce it once, and in order, at whatever instant it was, two instances at work", () =>
    Effect.gen(function*() {
      const database = yield* TestDatabase
      const topics = yield* TestTopics
      const events = "events.bit-score-tier-changed"
      const environment = { ...TestConfig.environment(database, topics), CDC_PIPELINES_ENABLED: "bit-scores", CDC_LOG_FORMAT: "json", LOG_LEVEL: "warn" }
      yield* prepare({ companies: 12, seed: 1 })
      yield* Effect.promise(() => runCdc(["setup"], environment))
      const started = new Set<CdcProcess>()
      yield* Effect.addFinalizer(() => Effect.promise(() => Promise.all([...started].map(({ kill }) => kill()))))
      const { hostname, port: databasePort } = new URL(database.url)
      const network = yield* Effect.acquireRelease(
        Effect.promise(() => Proxy.start({ host: hostname, port: Number(databasePort) })), ({ close }) => Effect.promise(close))
      const proxied = new URL(database.url)
      proxied.port = String(network.port)
      const start = async (...verb: ReadonlyArray<string>) => {
        const port = await freePort()
        const through = verb[0] === "capture" ? { DATABASE_URL: proxied.href } : {}
        const cdc = startCdc(verb, { ...environment, ...through, PORT: String(port) })
        started.add(cdc)
        return { ...cdc, settled: () => waitForStatus(cdc, port, ({ settled }) => settled) }
      }
      const startPipelines = () => Promise.all([start("pipeline", "bit-scores"), start("pipeline", "bit-scores")])

      /** Every outreach but three leaves its tier; some of these events share a transaction. How many do. */
      let isHigh = false
      const change = async () => {
        isHigh = !isHigh
        return isHigh
          ? (await database.query(`insert into outreach.bit_signals (outreach_id, signal_type, signal_impact, source_spoke, correlation_id)
              select outreach_id, 'made', 200, 'people', gen_random_uuid() from outreach.outreach order by 1 offset 3 returning 1`)).length
          : (await database.query("delete from outreach.bit_signals where signal_type = 'made' returning 1")).length
      }
      const until = async (statement: string, ...parameters: ReadonlyArray<unknown>) => {
        while ((await database.query(statement, parameters)).length === 0);
      }
      /** How many offsets a topic has had. */
      const reached = async (name: string) => (await topics.admin.fetchTopicOffsets(`${topics.prefix}.${name}`)).reduce((sum, { high }) => sum + Number(high), 0)

      yield* Effect.promise(async () => {
        let capture = await start("capture")
        let pipelines = await startPipelines()
        await capture.settled()
        // Committed, and in the hands of a capture that is killed before it publishes.
        for (const { child } of pipelines) child.kill("SIGSTOP")
        const [signals, published] = [await reached("outreach.bit_signals"), await reached(events)]
        const made = await change()
        while (await reached("outreach.bit_signals") < signals + made);
        capture.child.kill("SIGSTOP")
        const [now] = await database.query<{ now: string }>("select clock_timestamp()::text as now")
        for (const { child } of pipelines) child.kill("SIGCONT")
        await until("select from cdc.announced where at > $1 and topic is not null", now!.now)
        await capture.kill()
        assert.strictEqual(await reached(events), published)
        capture = await start("capture")
        await capture.settled()

        // Published, and not confirmed.
        const before = await reached(events)
        const [stream] = await database.query<{ port: number }>("select client_port as port from pg_stat_replication join pg_replication_slots on active_pid = pid where slot_name = $1", [TestConfig.slotOf(database.name)])
        network.holdRequestsOf(stream!.port)
        await change()
        while (await reached(events) === before);
        await capture.kill()
        network.cut()
        network.release()
        const [slot] = await database.query<{ confirmed: string }>("select confirmed_flush_lsn::text as confirmed from pg_replication_slots where slot_name = $1", [TestConfig.slotOf(database.name)])
        const last = (await topics.readTopic(`${topics.prefix}.${events}`)).map((record) => BigInt(tierEvent(record).id.split(":")[1]!)).reduce((a, b) => a > b ? a : b)
        assert.isTrue(Lsn.parse(slot!.confirmed) <= last, "what is published is not confirmed")
        capture = await start("capture")
        await capture.settled()

        // Told in a transaction that has not committed.
        const holder = new pg.Client({ connectionString: database.url })
        await holder.connect()
        await holder.query("begin")
        await holder.query("select from cdc.pipelines where name = 'bit-scores' for update")
        const told = await reached(events)
        await change()
        await until("select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like 'update%writes = writes%'")
        await Promise.all(pipelines.map(({ kill }) => kill()))
        await holder.query("rollback")
        await holder.end()
        assert.strictEqual(await reached(events), told)
        pipelines = await startPipelines()
        await capture.settled()

        // One of two, wherever it is.
        await change()
        await pipelines[0]!.kill()
        await capture.settled()
      })
      const records = yield* Effect.promise(() => topics.readTopic(`${topics.prefix}.${events}`))
      const stored = yield* Effect.promise(() => storedTiers(database))
      assert.deepStrictEqual(brokenChains(records, stored), [])
      assert.isAbove(records.length, 30)
      const heard = yield* Effect.promise(() => react({ KAFKA_BROKERS: topics.brokers.join(","), TOPIC: `${topics.prefix}.${events}`, GROUP: `${topics.prefix}.another-hub` }, records.length))
      assert.deepStrictEqual(heard.toSorted(), records.map((record) => inShort(tierEvent(record))).toSorted())
      assert.deepStrictEqual(new Set(records.map((event) => tierEvent(event).data.cause.type)), new Set(["signal"]))
    }).pipe(Effect.scoped), 180_000)
})

/** What the example for other hubs makes of so many events: a line for each. */
const react = async (environment: Readonly<Record<string, string>>, count: number): Promise<ReadonlyArray<string>> => {
  const example = fileURLToPath(new URL("../../examples/react-to-tiers.ts", import.meta.url))
  const child = spawn(process.execPath, [example], { env: { ...process.env, ...environment }, stdio: ["ignore", "pipe", "inherit"] })
  const lines: Array<string> = []
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    if (lines.length === count) child.kill("SIGINT") // it leaves its group, and ends
  }
  return lines
}

const inShort = ({ data: { after, before, cause, effective_at, outreach_id } }: TierEvent): string =>
  `${effective_at} ${outreach_id}: ${before?.tier ?? "new"} → ${after.tier} (${after.score}), by ${[cause.type, ...cause.correlation_ids].join(" ")}`
