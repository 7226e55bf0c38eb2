import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { catalogue } from "../../pipelines/Catalogue.ts"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as TableName from "../../src/domain/TableName.ts"
import * as TopicName from "../../src/domain/TopicName.ts"
import { Activity } from "../../src/embedded/hub/Activity.ts"
import { prepare } from "../../src/embedded/hub/Hub.ts"
import { type CdcProcess, freePort, runCdc, startCdc, waitForStatus } from "../support/CdcProcess.ts"
import { expectedRows, finalRows, misplaced } from "../support/FinalState.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"
import { brokenChains, storedTiers } from "../support/TierChain.ts"

/**
 * The promises of design §2, end to end: a hub that is at work, a product that is killed again and again, and afterwards topics
 * that say what the tables say, aggregates that are what the base tables say, and no position twice.
 */
const seed = 20_261_122
const servers = Layer.mergeAll(TestDatabase.layer, TestTopics.layer)
const hub = ManagedRuntime.make(
  Activity.layer({ seed, changesPerSecond: 0 }).pipe(
    Layer.provideMerge(Postgres.layer),
    Layer.provideMerge(TestConfig.layer()),
    Layer.provideMerge(servers)
  )
)

describe("a system that is killed at work", () => {
  let environment: Record<string, string>
  let port: number
  let cdc: CdcProcess | undefined

  const start = () => cdc = startCdc(["run"], environment)
  const steps = (count: number) => hub.runPromise(Effect.flatMap(Activity, (activity) => activity.runSteps(count)))

  beforeAll(async () => {
    const { database, topics } = await hub.runPromise(Effect.all({ database: TestDatabase, topics: TestTopics }))
    port = await freePort()
    environment = { ...TestConfig.environment(database, topics), PORT: String(port), LOG_LEVEL: "warn", CDC_LOG_FORMAT: "json", CDC_PIPELINES_ENABLED: Object.keys(catalogue).join(",") }
    await hub.runPromise(prepare({ companies: 300, seed, badInput: true }))
    await runCdc(["setup"], environment)
  })

  afterAll(async () => {
    await cdc?.kill()
    await hub.dispose()
  })

  it("ends up right, with nothing lost and nothing twice", async () => {
    // Killed while it reads the existing rows, with writers at work: the first record is the signal.
    const { topics } = await hub.runPromise(Effect.all({ topics: TestTopics }))
    const snapshotting = start()
    const working = steps(150)
    await firstRecord(topics)
    await snapshotting.kill()
    await working

    // Killed three times in the stream, each time with changes on their way.
    for (let round = 0; round < 3; round++) {
      const streaming = start()
      await waitForStatus(streaming, port, (status) => status.pipelines.some(({ lagRecords }) => lagRecords > 0) || status.caughtUp)
      await steps(60)
      await streaming.kill()
      await steps(20)
    }

    const last = start()
    await steps(60)
    const status = await waitForStatus(last, port, ({ settled }) => settled)
    expect(status.caughtUp).toBe(true)
    expect(await runCdc(["verify"], environment)).toMatch(/reporting\.context_spend +[1-9][^]*no differences/)
    await expectTopicsToSayWhatTablesSay()
    await expectTiersToldUnbroken()
    // The seed has bad signals: named and set aside, blocking nothing.
    expect(status.pipelines.find(({ name }) => name === "bit-scores")?.deadLetters).toBeGreaterThan(0)
  }, 180_000)

  const expectTiersToldUnbroken = async (): Promise<void> => {
    const { database, topics } = await hub.runPromise(Effect.all({ database: TestDatabase, topics: TestTopics }))
    const events = await topics.readTopic(`${topics.prefix}.events.bit-score-tier-changed`)
    expect(events.length).toBeGreaterThan(50)
    expect(brokenChains(events, await storedTiers(database))).toEqual([])
  }

  const firstRecord = async ({ admin, prefix }: TestTopics["Service"]): Promise<void> => {
    while (true) {
      const offsets = await admin.fetchTopicOffsets(`${prefix}.outreach.outreach`).catch(() => []) // no leader yet
      if (offsets.some(({ high }) => high !== "0")) return
    }
  }

  const expectTopicsToSayWhatTablesSay = async (): Promise<void> => {
    const { config, database, topics } = await hub.runPromise(Effect.all({ config: AppConfig, database: TestDatabase, topics: TestTopics }))
    for (const table of config.source.tables) {
      const records = await topics.readTopic(TopicName.ofTable(topics.prefix, table))
      const name = TableName.format(table)
      expect(misplaced(records), `positions of ${name}`).toEqual([])
      expect(finalRows(records), `final state of ${name}`).toEqual(await expectedRows(database, table.schema, table.table))
    }
  }
})
