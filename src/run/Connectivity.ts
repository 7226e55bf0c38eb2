import { Context, Effect, Layer } from "effect"
import { Kafka } from "../connections/Kafka.ts"
import type { KafkaError } from "../connections/KafkaError.ts"
import { Postgres } from "../connections/Postgres.ts"
import type { PostgresError } from "../connections/PostgresError.ts"
import type { Check } from "../observability/Health.ts"

/**
 * Whether this process reaches Postgres (`source`) and Kafka (`kafka`) now. Both are asked when somebody wants to know,
 * at most once a second.
 */
export class Connectivity extends Context.Service<Connectivity, {
  readonly checks: Effect.Effect<ReadonlyArray<Check>>
  /** Fails if one of them can't be reached: then it is the settings, or a server that is down, and waiting says nothing. */
  readonly require: Effect.Effect<void, PostgresError | KafkaError>
}>()("cdc/run/Connectivity") {
  static readonly layer = Layer.effect(Connectivity, Effect.gen(function*() {
    const postgres = yield* Postgres
    const kafka = yield* Kafka
    const reachPostgres = postgres.query("Reaching Postgres", "select 1")
    const reachKafka = kafka.admin("Reaching Kafka", (admin) => admin.describeCluster())
    const checks = Effect.all([check("source", reachPostgres), check("kafka", reachKafka)], { concurrency: 2 })
    return Connectivity.of({
      checks: yield* Effect.cachedWithTTL(checks, "1 second"),
      require: Effect.all([reachPostgres, reachKafka], { concurrency: 2, discard: true })
    })
  }))
}

/** Shorter than the time that a prober gives us. */
const probeWithin = "1500 millis"

const check = <E extends { readonly message: string }>(name: string, probe: Effect.Effect<unknown, E>): Effect.Effect<Check> => {
  let last: Check = { name, state: "starting", reason: "not asked yet", since: new Date().toISOString() }
  const report = (state: Check["state"], reason: string | null): Check =>
    last = { name, state, reason, since: last.state === state ? last.since : new Date().toISOString() }
  return probe.pipe(
    Effect.timeoutOrElse({ duration: probeWithin, orElse: () => Effect.fail({ message: "no answer within 1.5 s" }) }),
    Effect.match({ onSuccess: () => report("ok", null), onFailure: (error) => report("failing", error.message) })
  )
}
