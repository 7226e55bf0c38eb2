import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Postgres } from "../../src/connections/Postgres.ts"
import { batchOf } from "../support/Changes.ts"
import { committed, telling } from "../support/Telling.ts"
import * as TestHub from "../support/TestHub.ts"
import { changesOf, ended, now, sources } from "./CrossReferences.ts"
import { run } from "./Running.ts"

/** What may be done while rows of the hub are held: write them, tell of them, count, commit. */
const allowed = /^(Limiting the wait for inserts|Inserting into|Keeping what was inserted|Updating|Deleting from|Looking for other writers|Remembering what is announced|Announcing|Recording progress|Committing|committed)/
/** The first of these: a mirror row that is inserted has an integer that nobody knows of yet. */
const holds = /^(Updating|Deleting from) (outreach|bit|reporting)\.|^Inserting into (outreach|bit|reporting)\.(?!bit_signal$)/

layer(TestHub.layer, { excludeTestServices: true })("a transaction that holds rows of the hub", (it) => {
  for (const [name, ofPipeline] of Object.entries(sources)) {
    it.effect(`of ${name} does nothing but write them, tell of them and commit: all else is done before`, () =>
      Effect.gen(function*() {
        yield* ended
        const changes = changesOf(ofPipeline)
        const postgres = yield* Postgres
        const steps: Array<string> = []
        const { logs, materializer } = yield* run(name, changes, { now }).pipe(
          Effect.provideService(Postgres, telling(postgres, (doing) => Effect.sync(() => void steps.push(doing))))
        )
        steps.length = 0
        yield* materializer.apply(logs.map((log) => batchOf(log, 0)))
        const first = steps.findIndex((doing) => holds.test(doing))
        assert.isAbove(first, 0)
        assert.strictEqual(steps.at(-1), committed)
        assert.deepStrictEqual(steps.slice(first).filter((doing) => !allowed.test(doing)), [])
      }))
  }
})
