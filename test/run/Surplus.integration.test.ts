import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, References, Schedule } from "effect"
import { AppConfig } from "../../src/Config.ts"
import { Kafka } from "../../src/connections/Kafka.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as TopicName from "../../src/domain/TopicName.ts"
import { createSharedTables } from "../../src/materialize/Registration.ts"
import { runPipeline } from "../../src/run/PipelineLoop.ts"
import { pipelineOf } from "../materialize/Running.ts"
import { campaign, fresh, rowsOf, send, sendRow } from "../materialize/SmallHub.ts"
import * as TestConfig from "../support/TestConfig.ts"
import { TestDatabase } from "../support/TestDatabase.ts"
import { TestTopics } from "../support/TestTopics.ts"

/** What somebody holds is not tried again while this runs. */
const services = Layer.mergeAll(Kafka.layer, Postgres.layer).pipe(
  Layer.provideMerge(TestConfig.layer({ pipelines: { pendingRetrySeconds: 3_600 } })),
  Layer.provideMerge(Layer.mergeAll(TestDatabase.layer, TestTopics.layer))
)

const count = 2_000 // more than a transaction writes of the hub's rows before it knows how long it takes

describe("rows that are too many for one transaction", () => {
  it.live("are written as soon as it is over", () =>
    Effect.gen(function*() {
      yield* fresh
      const { client, create, prefix } = yield* TestTopics
      const { source } = yield* AppConfig
      const postgres = yield* Postgres
      const pipeline = yield* pipelineOf("campaign-totals")
      yield* createSharedTables(postgres, source.stateSchema)
      const ids = Array.from({ length: count }, (_, n) => campaign(n + 3))
      yield* postgres.query("Inserting", "insert into outreach.campaigns (campaign_id, campaign_name) select id, 'A campaign' from unnest($1::uuid[]) id", [ids])
      const topics = pipeline.sources.map(({ table }) => TopicName.ofTable(prefix, table))
      yield* Effect.promise(async () => {
        await create(topics.map((topic) => ({ topic, numPartitions: 1 })))
        const producer = client.producer()
        await producer.connect()
        await producer.send({ topic: topics[0]!, messages: ids.map((_, n) => ({
          key: JSON.stringify({ send_id: send(n) }),
          value: JSON.stringify({ op: "c", after: { send_id: send(n), ...sendRow(n + 3) }, source: { epoch: 1, ts_us: 1_767_225_600_000_000 }, transaction: { id: `0:${100 + n}`, total_order: 1 } })
        })) })
        await producer.disconnect()
      })
      yield* Effect.forkScoped(Effect.provideService(runPipeline(pipeline), References.MinimumLogLevel, "None"))
      const written = rowsOf("select count(*) from outreach.campaigns where total_targeted = 1")
      yield* Effect.repeat(written, { until: ([row]) => row === `(${count})`, schedule: Schedule.spaced("50 millis") })
      assert.deepStrictEqual(yield* rowsOf("select from cdc.pending"), [])
    }).pipe(Effect.scoped, Effect.provide(services)), 20_000)
})
