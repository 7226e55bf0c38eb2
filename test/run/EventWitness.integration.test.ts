import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Scope } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import { toIso } from "../../src/domain/Instant.ts"
import { seeded } from "../../src/embedded/hub/Random.ts"
import * as Setup from "../../src/run/Setup.ts"
import { fresh, outreach, signal, signalRow, tables } from "../materialize/SmallHub.ts"
import { run } from "../materialize/Running.ts"
import { Changes } from "../support/Changes.ts"
import { brokenChains, storedTiers, tierEvent } from "../support/TierChain.ts"
import { type CaptureUnderTest, withCapture } from "./CaptureFixture.ts"
import { observeGaps } from "./ObservedGaps.ts"

const options = { tables: "outreach.bit_scores", ddl: "" }
const start = 1_767_225_600_000_000n // 2026-01-01, the instant of signalRow

/** A captured hub, and bit-scores at work on it. */
const begin = Effect.fnUntraced(function*(capture: CaptureUnderTest) {
  const { query } = yield* Postgres
  yield* fresh
  yield* capture.setup
  const changes = new Changes(1)
  const clock = { now: start }
  const { applyAll, materializer } = yield* run("bit-scores", changes, { now: () => clock.now })
  /** The outreach's score, by one signal. */
  const score = Effect.fnUntraced(function*(of: number, impact: number) {
    changes.append(tables.signals, "c", signal(of), signalRow(of, { signal_impact: String(impact), correlation_id: `c${impact}`, signal_timestamp: toIso(clock.now) }))
    yield* applyAll()
  })
  const settled = Effect.andThen(materializer.retryPending, capture.caughtUp)
  const events = capture.read("events.bit-score-tier-changed")
  const inShort = (of: number) =>
    Effect.map(events, (events) => events.map(tierEvent).filter(({ data }) => data.outreach_id === outreach(of)).map(({ data: { after, before, cause } }) =>
      `${before?.tier ?? "-"}>${after.tier} ${cause.type} ${cause.correlation_ids.join("+")}`.trim()))
  const isUnbroken = Effect.gen(function*() {
    assert.deepStrictEqual(brokenChains(yield* events, yield* Effect.promise(() => storedTiers(capture.database))), [])
  })
  return { capture, clock, inShort, isUnbroken, materializer, query, score, settled }
})

const atWork = <A, E>(test: (work: Effect.Success<ReturnType<typeof begin>>) => Effect.Effect<A, E, Scope.Scope>) =>
  withCapture(options, (capture) => capture.provide(Effect.flatMap(begin(capture), test) as never) as Effect.Effect<A, E>)

const deleteTopic = ({ topics: { prefix, remove } }: CaptureUnderTest) =>
  Effect.promise(() => remove([`${prefix}.events.bit-score-tier-changed`]))

describe("what was told where nobody heard it", () => {
  it.live("because the slot was made anew before it was published: is announced again, as replay", () =>
    atWork(({ capture, inShort, isUnbroken, query, score, settled }) =>
      Effect.gen(function*() {
        const first = yield* capture.start
        yield* capture.caughtUp
        yield* score(1, 60)
        yield* capture.caughtUp
        yield* Fiber.interrupt(first)
        yield* score(1, 80)
        yield* score(2, 30)
        yield* capture.provide(Setup.resnapshot)
        yield* score(2, 55)
        const second = yield* capture.start
        yield* capture.caughtUp
        yield* settled
        assert.deepStrictEqual(yield* inShort(1), ["->HOT signal c60", "HOT>BURNING replay"])
        assert.deepStrictEqual(yield* inShort(2), ["->HOT replay"])
        yield* score(1, 10)
        yield* settled
        assert.deepStrictEqual((yield* inShort(1)).at(-1), "BURNING>COLD signal c10")
        // Another epoch, with nothing lost, announces nothing.
        yield* Fiber.interrupt(second)
        const before = yield* capture.read("events.bit-score-tier-changed")
        yield* capture.provide(Setup.resnapshot)
        yield* capture.start
        yield* capture.caughtUp
        yield* settled
        assert.strictEqual((yield* capture.read("events.bit-score-tier-changed")).length, before.length)
        assert.deepStrictEqual(yield* query("Reading", "select from cdc.pending"), [])
        yield* isUnbroken
      })))

  it.live("because the database went back, or has forgotten: the topic says what was told last", () =>
    atWork(({ capture, inShort, isUnbroken, query, score, settled }) =>
      Effect.gen(function*() {
        const first = yield* capture.start
        yield* capture.caughtUp
        yield* score(1, 60)
        yield* score(2, 60)
        yield* query("Keeping", "create table public.earlier as select * from cdc.announced")
        yield* score(1, 80)
        yield* score(2, 80)
        yield* capture.caughtUp
        yield* Fiber.interrupt(first)
        yield* query("Going back", "delete from cdc.announced")
        yield* query("Going back", "insert into cdc.announced select * from public.earlier where key = $1", [outreach(1)])
        yield* capture.provide(Setup.resnapshot)
        yield* capture.start
        yield* capture.caughtUp
        yield* score(1, 30)
        yield* settled
        assert.deepStrictEqual(yield* inShort(1), ["->HOT signal c60", "HOT>BURNING signal c80", "BURNING>WARM replay"])
        assert.deepStrictEqual(yield* inShort(2), ["->HOT signal c60", "HOT>BURNING signal c80"])
        yield* isUnbroken
      })))

  it.live("because its topic was deleted: that is said, and made again it tells all anew", () =>
    atWork(({ capture, inShort, isUnbroken, score, settled }) =>
      Effect.gen(function*() {
        const { eventGapsAre, observed } = observeGaps()
        yield* observed(capture.start)
        yield* capture.caughtUp
        yield* score(1, 60)
        yield* score(2, 10)
        yield* capture.caughtUp
        const missed = yield* Effect.forkChild(eventGapsAre(1), { startImmediately: true })
        yield* deleteTopic(capture)
        assert.match((yield* Fiber.join(missed))[0]!, /bit-score-tier-changed$/)
        yield* score(1, 80)
        yield* capture.caughtUp
        const back = yield* Effect.forkChild(eventGapsAre(0), { startImmediately: true })
        yield* capture.setup
        yield* Fiber.join(back)
        yield* settled
        assert.deepStrictEqual(yield* inShort(1), ["->BURNING replay"])
        assert.deepStrictEqual(yield* inShort(2), [])
        yield* isUnbroken
      })))

  it.live("while pipelines go on announcing through new epochs: every chain is unbroken", () =>
    atWork(({ capture, clock, isUnbroken, score, settled }) =>
      Effect.gen(function*() {
        const random = seeded("witness", 1)
        const announcing = yield* Effect.forkChild(Effect.forever(Effect.suspend(() => {
          clock.now += 1_000n
          return score(random.between(1, 2), random.between(0, 100))
        })))
        for (let epoch = 0; epoch < 4; epoch++) {
          const session = yield* capture.start
          yield* capture.until(({ position, topic }) => topic.includes(".events.") && position.epoch === epoch + 1)
          yield* Fiber.interrupt(session)
          yield* capture.provide(Setup.resnapshot)
        }
        yield* capture.start
        yield* capture.caughtUp
        yield* Fiber.interrupt(announcing)
        yield* settled
        yield* isUnbroken
      })))
})
