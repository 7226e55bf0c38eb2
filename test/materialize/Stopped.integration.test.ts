import { assert, layer } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import type pg from "pg"
import { Postgres } from "../../src/connections/Postgres.ts"
import { batchOf, Changes } from "../support/Changes.ts"
import { committed, type Tell, telling } from "../support/Telling.ts"
import * as TestHub from "../support/TestHub.ts"
import { aggregates, beginning, changesOf, ended, now, sources } from "./CrossReferences.ts"
import { run } from "./Running.ts"
import { campaign, fresh, rowsOf, send, sendRow, tables } from "./SmallHub.ts"

/** Dies at the n-th step. */
const dyingAt = (step: number): Tell => {
  let steps = 0
  return () => Effect.suspend(() => (++steps === step ? Effect.die("killed") : Effect.void))
}

layer(TestHub.layer, { excludeTestServices: true })("a process that is stopped", (it) => {
  for (const [name, ofPipeline] of Object.entries(sources)) {
    it.effect(`at any step of a batch of ${name} is followed by another one, and what it does when it wakes has no effect`, () =>
      Effect.gen(function*() {
        yield* ended
        const postgres = yield* Postgres
        const changes = changesOf(ofPipeline)
        const process = (tell: Tell) => run(name, changes, { now }).pipe(Effect.provideService(Postgres, telling(postgres, tell)))
        const successor = yield* run(name, changes, { now })
        const batch = successor.logs.map((log) => batchOf(log, 0))

        yield* beginning
        const steps: Array<string> = []
        yield* (yield* process((doing) => Effect.sync(() => void steps.push(doing)))).materializer.apply(batch)
        const own = steps.slice(steps.lastIndexOf(committed, -2) + 1)
        const expected = yield* aggregates
        assert.isAbove(own.length, 12)

        for (let step = 1; step <= own.length; step++) {
          yield* beginning
          let tell: Tell = () => Effect.void
          const victim = yield* process((doing) => tell(doing))
          tell = dyingAt(step)
          const died = yield* Effect.exit(victim.materializer.apply(batch))
          assert.isTrue(died._tag === "Failure", own[step - 1])
          const isCommitted = own[step - 1] === committed
          assert.strictEqual((yield* rowsOf("select from cdc.offsets where next_offset > 0")).length > 0, isCommitted, own[step - 1])
          // Kafka knows nothing of it; whoever goes on does so from the checkpoint.
          yield* successor.applyAll()
          assert.deepStrictEqual(yield* aggregates, expected, own[step - 1])
          const woken = yield* Effect.flip(victim.materializer.apply(batch))
          assert.strictEqual(woken.reason, "superseded", own[step - 1])
          assert.deepStrictEqual(yield* aggregates, expected, own[step - 1])
        }
      }), 60_000)
  }

  it.effect("while it holds rows of the hub loses its session: who waits for them waits for some two seconds", () =>
    Effect.gen(function*() {
      yield* fresh
      const postgres = yield* Postgres
      const changes = new Changes(1)
      const frozen = yield* Deferred.make<void>()
      const frost = yield* Deferred.make<void>()
      const tell: Tell = (doing) => doing === "Recording progress" ? Effect.andThen(Deferred.succeed(frozen, undefined), Deferred.await(frost)) : Effect.void
      const { applyAll } = yield* run("campaign-totals", changes).pipe(Effect.provideService(Postgres, telling(postgres, tell)))
      changes.append(tables.sends, "c", send(1), sendRow(1))
      const applying = yield* Effect.forkChild(Effect.flip(applyAll()))
      yield* Deferred.await(frozen)
      const person: pg.Client = yield* postgres.connect({})
      yield* Effect.promise(() => person.query("set lock_timeout = '20s'"))
      yield* Effect.promise(() => person.query("update outreach.campaigns set campaign_name = 'Spring' where campaign_id = $1", [campaign(1)]))
      yield* Deferred.succeed(frost, undefined)
      const thawed = yield* Fiber.join(applying)
      assert.isTrue(thawed.isRetryable, thawed.message)
      yield* applyAll()
      assert.deepStrictEqual(yield* rowsOf("select campaign_name, total_sent from outreach.campaigns where total_sent > 0"), ["(Spring,1)"])
    }), 30_000)
})
