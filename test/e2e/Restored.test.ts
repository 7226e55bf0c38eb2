import { Effect, Exit, Layer, ManagedRuntime, Scope } from "effect"
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import pg from "pg"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as Lsn from "../../src/domain/Lsn.ts"
import * as TableName from "../../src/domain/TableName.ts"
import * as TopicName from "../../src/domain/TopicName.ts"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"
import { Activity } from "../../src/embedded/hub/Activity.ts"
import { prepare } from "../../src/embedded/hub/Hub.ts"
import { freePort, runCdc, startCdc, waitForStatus } from "../support/CdcProcess.ts"
import { expectedRows, finalRows, misplaced } from "../support/FinalState.ts"
import { createTopics, type OwnTopics } from "../support/TestTopics.ts"
import { brokenChains, storedTiers, tierEvent } from "../support/TierChain.ts"

/**
 * A database that is restored to an earlier state: a copy of its files, taken while it was shut down, with its slot, its publication
 * and all that capture remembers there. The original went on, and all of that was published; then the copy takes its place.
 */
const directory = mkdtempSync(join(tmpdir(), "cdc-restored-"))
const fast = { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }

describe("a database that is restored to an earlier state", () => {
  let topics: OwnTopics
  let environment: Record<string, string>
  let port: number
  let server: { readonly url: string; readonly stop: () => Promise<void> } | undefined

  const start = async (name: string) => {
    const scope = Scope.makeUnsafe()
    const { databaseUrl } = await Effect.runPromise(
      EmbeddedPostgres.start({ directory: join(directory, name), database: "hub", settings: fast }).pipe(Scope.provide(scope)))
    environment = { ...environment, DATABASE_URL: databaseUrl }
    return server = { url: databaseUrl, stop: () => Effect.runPromise(Scope.close(scope, Exit.void)) }
  }

  const onHub = <A, E>(work: Effect.Effect<A, E, Activity | AppConfig | Postgres>, seed = 1) => {
    const config = AppConfig.layerOf({ source: { databaseUrl: server!.url }, kafka: { brokers: "nobody:1" } })
    const hub = ManagedRuntime.make(Activity.layer({ seed, changesPerSecond: 0 }).pipe(Layer.provideMerge(Postgres.layer), Layer.provideMerge(config)))
    return hub.runPromise(work).finally(() => hub.dispose())
  }
  const steps = (count: number, seed: number) => onHub(Effect.flatMap(Activity, (activity) => activity.runSteps(count)), seed)

  const query = async <Row extends object>(statement: string, parameters: ReadonlyArray<unknown> = []): Promise<ReadonlyArray<Row>> => {
    const client = new pg.Client({ connectionString: server!.url })
    await client.connect()
    return await client.query(statement, [...parameters]).then(({ rows }) => rows as Array<Row>).finally(() => client.end())
  }

  /** Runs the whole product until it is settled, then stops it in order. */
  const runUntilSettled = async () => {
    const cdc = startCdc(["run"], environment)
    await waitForStatus(cdc, port, ({ settled }) => settled)
    cdc.child.kill("SIGTERM")
    expect(await cdc.ended).toBe(0)
  }

  beforeAll(async () => {
    topics = await createTopics()
    port = await freePort()
    environment = {
      KAFKA_BROKERS: topics.brokers.join(","), CDC_KAFKA_TOPIC_PREFIX: topics.prefix, CDC_KAFKA_PARTITIONS: "2", PORT: String(port), LOG_LEVEL: "warn",
      CDC_LOG_FORMAT: "json"
    }
    await start("original")
    await onHub(prepare({ companies: 40, seed: 1 }))
  })

  afterAll(async () => {
    await server?.stop()
    await topics.close()
    rmSync(directory, { recursive: true, force: true })
  })

  it("is refused, and after setup --resnapshot topics and aggregates are what its tables say, rows of the lost history gone", async () => {
    await runCdc(["setup"], environment)
    await runUntilSettled()
    await server!.stop()
    execFileSync("cp", ["-a", join(directory, "original"), join(directory, "restored")])
    await start("original")
    await steps(60, 2)
    await query(`insert into outreach.bit_signals (outreach_id, signal_type, signal_impact, source_spoke, correlation_id)
      select outreach_id, 'lost', 200, 'people', gen_random_uuid() from outreach.bit_scores where score_tier <> 'BURNING' order by 1 limit 5`)
    await runUntilSettled()
    const [{ lsn: lost } = { lsn: "" }] = await query<{ lsn: string }>("select pg_current_wal_lsn()::text as lsn")
    await server!.stop()

    await start("restored")
    await steps(5, 3)
    for (const verb of ["run", "setup"]) {
      const refused = startCdc([verb], environment)
      expect(await refused.ended).toBe(4)
      expect(refused.said()).toMatch(/does not continue what was published.*cdc setup --resnapshot/s)
    }
    const [{ lsn: now } = { lsn: "" }] = await query<{ lsn: string }>("select pg_current_wal_lsn()::text as lsn")
    expect(Lsn.parse(now) < Lsn.parse(lost)).toBe(true)
    expect(await runCdc(["setup", "--resnapshot"], environment)).toContain("epoch 2")
    await runUntilSettled()

    const { source } = await onHub(AppConfig)
    let synthetic = 0
    for (const table of source.tables) {
      const records = await topics.readTopic(TopicName.ofTable(topics.prefix, table))
      synthetic += records.filter(({ value }) => value?.includes('"synthetic":true')).length
      expect(misplaced(records), `positions of ${TableName.format(table)}`).toEqual([])
      expect(finalRows(records), `final state of ${TableName.format(table)}`).toEqual(await expectedRows({ query }, table.schema, table.table))
    }
    expect(synthetic, "rows that only the lost history had").toBeGreaterThan(0)
    expect(await runCdc(["verify"], environment)).toContain("no differences")
    const events = await topics.readTopic(`${topics.prefix}.events.bit-score-tier-changed`)
    expect(brokenChains(events, await storedTiers({ query }))).toEqual([])
    expect(events.filter((event) => tierEvent(event).id.startsWith("2:")).length, "outreaches that are not BURNING any more").toBeGreaterThanOrEqual(5)
  }, 180_000)
})
