import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as TableName from "../../src/domain/TableName.ts"
import { createSchema } from "../../src/embedded/hub/Hub.ts"
import { insertAll } from "../../src/embedded/hub/Insert.ts"
import { type Random, seeded } from "../../src/embedded/hub/Random.ts"
import { differencesAfter } from "../pipelines/oracle/Planted.ts"
import { batchOf, type PartitionLog, readRows, type Row } from "../support/Changes.ts"
import * as TestHub from "../support/TestHub.ts"
import { run, type Running } from "./Running.ts"
import { makeWorkload, type Workload } from "./Workload.ts"

const start = 1_780_000_000_000_000n
const dayMicros = 86_400_000_000n

/** An instance that takes partitions in any order and size, sometimes from an offset that is long past. */
const instance = Effect.fnUntraced(function*({ logs, materializer, stored }: Running, random: Random) {
  let next = yield* stored()
  const isLeft = (log: PartitionLog) => next(log) < log.changes.length
  let superseded = 0
  while (logs.some(isLeft)) {
    const some = logs.filter((log) => isLeft(log) && random.chance(0.4)).map((log) => {
      const from = random.chance(0.15) ? random.between(0, next(log)) : next(log)
      return batchOf(log, from, Math.min(log.changes.length, Math.max(from + 1, from + random.between(1, 30))))
    })
    if (some.length > 0) {
      yield* materializer.apply(some).pipe(
        Effect.catch((error) => {
          if (error._tag === "PipelineError" && error.reason === "superseded") superseded++
          else if (error.reason !== "contended") return Effect.fail(error)
          return Effect.void
        })
      )
    }
    if (random.chance(0.2)) yield* retry(materializer)
    next = yield* stored()
  }
  return superseded
})

const retry = (materializer: Running["materializer"]) =>
  Effect.catch(materializer.retryPending, (error) => error.reason === "contended" ? Effect.succeed({ settled: 1, held: 0 }) : Effect.fail(error))

/** Until nothing is pending any more. */
const drain = ({ materializer }: Running) =>
  Effect.gen(function*() {
    for (let outcome = yield* retry(materializer); outcome.settled > 0; outcome = yield* retry(materializer));
  })

/** Somebody who holds rows for a moment, and changes what is not ours. */
const person = (random: Random) =>
  Effect.gen(function*() {
    const postgres = yield* Postgres
    for (let n = 0; n < 15; n++) {
      const statement = random.pick([
        "update outreach.campaigns set campaign_name = campaign_name || '.' where total_sent % 2 = 0",
        "update outreach.bit_scores set created_at = now()",
        "update bit.bit_company_score set company_unique_id = company_unique_id",
        "select from bit.bit_signal where signal_id % 3 = 0 for update"
      ])
      yield* postgres.transaction((sql) => Effect.andThen(sql.query("Editing", statement), sql.query("Thinking", "select pg_sleep(0.01)"))).pipe(
        Effect.catch((error) => error.code === "40P01" ? Effect.fail(error) : Effect.void)
      )
    }
  })

/** Two instances on the same partitions, with clocks that disagree, and a person in between. */
const race = Effect.fnUntraced(function*(name: string, workload: Workload, seed: number) {
  let now = start
  const clock = (behind: bigint) => () => (now += dayMicros / 20n) - behind
  const one = yield* run(name, workload.changes, { now: clock(0n) })
  const two = yield* run(name, workload.changes, { now: clock(5n * dayMicros) })
  yield* Effect.all([
    instance(one, seeded(name, "one", seed)),
    instance(two, seeded(name, "two", seed)),
    person(seeded(name, "person", seed))
  ], { concurrency: 3 })
  yield* drain(one)
  return one
})

/** The final rows of the hub, but for the outreaches in `without` and what refers to them. */
const insertRows = Effect.fnUntraced(function*(workload: Workload, isWanted: (outreach: unknown) => boolean) {
  const postgres = yield* Postgres
  for (const table of ["outreach.outreach", "outreach.bit_signals", "outreach.engagement_events", "outreach.send_log"]) {
    const rows = [...workload.rows.get(table)!.values()].filter((row) => isWanted(row.outreach_id ?? null))
    yield* insertAll(postgres, TableName.parse(table), rows)
  }
})

const emptyHub = Effect.fnUntraced(function*(workload: Workload) {
  const postgres = yield* Postgres
  yield* postgres.query("Emptying the hub", "drop schema if exists cdc, outreach, outreach_ctx, bit, cl cascade")
  yield* createSchema()
  const made: Record<string, ReadonlyArray<Row>> = {
    "cl.company_identity": workload.companies.map((id) => ({ company_unique_id: id, company_name: "A company" })),
    "outreach.people": workload.people.map((id) => ({ person_id: id, email: "somebody@example.com" })),
    "outreach.campaigns": workload.campaigns.map((id) => ({ campaign_id: id, campaign_name: "" }))
  }
  for (const [table, rows] of Object.entries(made)) yield* insertAll(postgres, TableName.parse(table), rows)
})

layer(TestHub.layer, { excludeTestServices: true })("a random history of the hub", (it) => {
  for (const seed of [1, 2, 3]) {
    it.effect(`ends with what the oracles say, however it is batched, interleaved and raced for (seed ${seed})`, () =>
      Effect.gen(function*() {
        const postgres = yield* Postgres
        const workload = makeWorkload(seed, start, 600)
        yield* emptyHub(workload)
        // Some outreaches come to the hub only after everything that refers to them has gone through the topics.
        const late = new Set(workload.outreaches.slice(0, 2))
        yield* insertRows(workload, (outreach) => !late.has(outreach as string))
        yield* race("bit-scores", workload, seed)
        yield* race("campaign-totals", workload, seed)

        yield* insertRows(workload, (outreach) => late.has(outreach as string))
        for (const key of late) workload.changes.append("outreach.outreach", "c", key, workload.rows.get("outreach.outreach")!.get(key)!)
        yield* drain(yield* race("bit-scores", workload, seed + 100))
        for (const { key, row } of yield* readRows(postgres, "outreach.bit_scores", "outreach_id")) {
          workload.changes.append("outreach.bit_scores", "c", key, { ...row, score: "99", score_tier: "BURNING" })
          workload.changes.append("outreach.bit_scores", "u", key, row)
        }
        yield* race("legacy-mirrors", workload, seed)
        assert.deepStrictEqual(yield* differencesAfter(), [])
      }), 60_000)
  }
})
