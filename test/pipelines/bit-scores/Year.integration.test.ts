import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Postgres } from "../../../src/connections/Postgres.ts"
import * as Instant from "../../../src/domain/Instant.ts"
import { seeded } from "../../../src/embedded/hub/Random.ts"
import { run } from "../../materialize/Running.ts"
import { company, fresh, outreach, signal, signalRow, tables } from "../../materialize/SmallHub.ts"
import { Changes } from "../../support/Changes.ts"
import * as TestHub from "../../support/TestHub.ts"

const start = 1_767_225_600_000_000n
const day = 86_400_000_000n
const year = 365n * day
const outreaches = 96

interface Signal {
  readonly outreach: number
  readonly impact: number
  readonly days: number
  readonly at: bigint
}

/** The definition, in floating point: exact to 1e-12 points, which a score of these signals passes in less than a microsecond. */
const exactAt = (signals: Iterable<Signal>, now: bigint): number => {
  let sum = 0
  for (const { at, days, impact } of signals) sum += impact * Math.min(1, Math.max(0, 1 - Number(now - at) / (days * 86_400e6)))
  return Math.min(100, Math.max(0, sum))
}
const tiers = [["BURNING", 75], ["HOT", 50], ["WARM", 25]] as const
/** Of the rounded score; null within the error of floating point of a boundary. */
const tierOf = (score: number): string | null => {
  if (tiers.some(([, from]) => Math.abs(score - from + 0.005) < 1e-10)) return null
  return tiers.find(([, from]) => score >= from - 0.005)?.[0] ?? "COLD"
}

interface Stored {
  readonly outreach_id: string
  readonly score: number
  readonly score_tier: string
  readonly scored_at: bigint
  /** All that we own, and the row's version. */
  readonly columns: string
  readonly version: string
}

layer(TestHub.layer, { excludeTestServices: true })("a year of decay", (it) => {
  it.effect("is never off in tier, nor by a point, nor at all for a day; writes only what changes, and rests when nothing does", () =>
    Effect.gen(function*() {
      yield* fresh
      const { query } = yield* Postgres
      for (let n = 3; n <= outreaches; n++) yield* query("Inserting", "insert into outreach.outreach (outreach_id, sovereign_id) values ($1, $2)", [outreach(n), company(1)])
      const random = seeded("a year", 1)
      const below = (bound: number) => random.between(0, bound - 1)
      const changes = new Changes(1)
      let now = start
      const { applyAll, materializer } = yield* run("bit-scores", changes, { now: () => now })

      const signals = new Map<number, Signal>()
      const put = (n: number, made: Signal) => {
        changes.append(tables.signals, signals.has(n) ? "u" : "c", signal(n), signalRow(made.outreach, {
          signal_impact: String(made.impact), decay_period_days: made.days, signal_timestamp: Instant.toIso(made.at), source_spoke: random.pick(["people", "dol", "other"])
        }))
        signals.set(n, made)
      }
      /** One outreach in twelve is at the tiers; what the others have is small, or half of it is negative. All is over before the year is. */
      const make = (n: number): Signal => {
        const isLarge = n % 12 === 0
        const days = below(isLarge ? 20 : 6) + 1
        return {
          outreach: n % outreaches + 1, days, impact: (below(isLarge ? 4_000 : 300) - (isLarge ? 800 : 150)) / 100,
          at: start + BigInt(below(300)) * day + (below(4) === 0 ? 0n : BigInt(below(86_400_000)) * 1_000n)
        }
      }
      for (let n = 0; n < 2 * outreaches; n++) put(n, make(n))
      put(9_001, { outreach: 12, impact: 50, days: 1, at: start + 100n * day }) // at the boundaries exactly
      put(9_002, { outreach: 24, impact: 0, days: 5, at: start + 100n * day })

      let stored: ReadonlyMap<string, Stored> = new Map()
      let rewrites = 0
      const ofOutreach = () => Map.groupBy(signals.values(), (one) => outreach(one.outreach))
      const check = (at: bigint, of: ReadonlyMap<string, ReadonlyArray<Signal>>, what: string) => {
        for (const [id, mine] of of) {
          const row = stored.get(id)!
          const exact = exactAt(mine, at)
          const where = `${what} ${at}: ${id} has ${row.score} ${row.score_tier} of ${exact}`
          const tier = tierOf(exact)
          if (tier !== null && row.score_tier !== tier) assert.fail(where)
          const isOff = (exact: number) => Math.abs(row.score - exact) >= 0.015 // a hundredth, and what rounding hides of it
          if (Math.abs(row.score - exact) > 1.005) assert.fail(`${where}: by more than a point`)
          if (isOff(exact) && row.scored_at <= at - day && isOff(exactAt(mine, at - day))) assert.fail(`${where}: for a day`)
        }
      }
      const look = Effect.gen(function*() {
        const rows = yield* query<Stored>("Reading", `select outreach_id::text, score::float8, score_tier, xmin::text || ' ' || ctid::text as version,
          (score, score_tier, signal_count, people_score, dol_score, blog_score, talent_flow_score, last_signal_at)::text as columns,
          (extract(epoch from last_scored_at) * 1000000)::bigint as scored_at from outreach.bit_scores`)
        for (const row of rows) {
          const before = stored.get(row.outreach_id)
          if (before === undefined || before.version === row.version) continue
          rewrites++
          if (before.columns === row.columns) assert.fail(`${row.outreach_id} was written again as it was`)
        }
        stored = new Map(rows.map((row) => [row.outreach_id, row]))
      })

      yield* applyAll()
      yield* look
      const edits = Array.from({ length: 40 }, () => start + BigInt(below(300 * 86_400)) * 1_000_000n).sort((a, b) => Number(a - b))
      const outages = [60, 150, 240].map((n) => start + BigInt(n) * day)
      let wakes = 0
      while (now < start + year) {
        const { nextIn } = yield* materializer.wake
        wakes++
        if (nextIn !== null && nextIn <= 0n) continue
        yield* look
        const of = ofOutreach()
        check(now, of, "at")
        let next = nextIn === null ? start + year : now + nextIn
        const edit = edits[0]
        if (edit !== undefined && edit < next) next = edits.shift()!
        if (next < now) next = now // an edit of an outage
        if (next > now) {
          check(now + (next - now) / 2n, of, "between")
          check(next - 1n, of, "just before")
        }
        if (outages[0] !== undefined && outages[0] <= now) {
          outages.shift()
          now += 9n * day // nobody was there; one pass catches up
          const caughtUp = yield* materializer.wake
          assert.isAbove(caughtUp.woken, 3)
          assert.isTrue(caughtUp.nextIn === null || caughtUp.nextIn > 0n, "in one transaction")
          yield* look
          check(now, of, "caught up")
          continue
        }
        now = next
        if (next === edit) {
          const [n] = [...signals][below(signals.size)]!
          if (below(3) === 0) {
            changes.delete(tables.signals, signal(n))
            signals.delete(n)
          } else put(n, make(n + below(2)))
          yield* applyAll()
        }
      }
      assert.deepInclude(yield* materializer.wake, { woken: 0, nextIn: null }, "nothing moves any more, and nobody is woken")
      // Per signal: each point that it has, each day that it decays, its two ends; a tier's end is one of a large score's points.
      const bound = [...signals.values()].reduce((sum, { days, impact }) => sum + Math.abs(impact) / 0.9 + days * 24 / 23 + 3, 100)
      assert.isBelow(wakes, bound)
      assert.isBelow(rewrites, bound)
    }), { timeout: 120_000 })
})
