import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { once } from "node:events"
import { type CaptureUnderTest, envelope, withCapture } from "../run/CaptureFixture.ts"
import { isIncremental } from "../run/Rereading.ts"
import { type CdcProcess, startCdc } from "../support/CdcProcess.ts"
import * as TestConfig from "../support/TestConfig.ts"

const tables = "public.t, public.u, public.keyless"
const ddl = `create table public.t (id int primary key, v text); insert into public.t select n, 'v' || n from generate_series(1, 30) n;
  create table public.u (id int primary key); insert into public.u values (1), (2);
  create table public.keyless (v text); alter table public.keyless replica identity full`

const cdcSnapshot = (capture: CaptureUnderTest, ...options: ReadonlyArray<string>): CdcProcess =>
  startCdc(["snapshot", ...options], {
    ...TestConfig.environment(capture.database, capture.topics),
    CDC_SOURCE_TABLES: `${tables}, public.fence`,
    CDC_KAFKA_PARTITIONS: "2"
  })

const ended = (cdc: CdcProcess) => Effect.map(Effect.promise(() => cdc.ended), (code) => ({ code, said: cdc.said() }))

/** Until it has said so. */
const says = (cdc: CdcProcess, text: string) =>
  Effect.promise(async () => {
    while (!cdc.said().includes(text)) await once(cdc.child.stderr!, "data")
  })

describe("cdc snapshot", () => {
  it.live("reads tables again through the running capture, and refuses what it can't", () =>
    withCapture({ tables, ddl }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const loop = yield* capture.start
        yield* capture.caughtUp
        yield* capture.caughtUp // the first may have been in the snapshot
        const [some, unknown, keyless, wrong] = yield* Effect.all([
          ended(cdcSnapshot(capture, "public.t", "public.u", "--where", "id % 10 = 1", "--json")),
          ended(cdcSnapshot(capture, "public.other")),
          ended(cdcSnapshot(capture, "public.t", "public.keyless")),
          ended(cdcSnapshot(capture, "public.t", "--where", "nowhere = 1"))
        ], { concurrency: 2 })
        assert.strictEqual(some.code, 0, some.said)
        assert.match(some.said, /public\.t done: 3 rows[^]*"table": "public\.t"[^]*"state": "done"[^]*"rows": 3[^]*"table": "public\.u"[^]*"rows": 1/)
        assert.deepStrictEqual([unknown.code, keyless.code, wrong.code], [2, 3, 2], unknown.said + keyless.said + wrong.said)
        assert.match(unknown.said, /public\.other is not captured[^]*source\.tables/)
        assert.match(keyless.said, /public\.keyless has no key/)
        assert.match(wrong.said, /--where: .*column "nowhere" does not exist/)
        const reads = capture.written.filter(isIncremental).map((record) => envelope(record).after!.id)
        assert.deepStrictEqual(reads.map(Number).toSorted((a, b) => a - b), [1, 1, 11, 21], "none of a command that was refused")

        yield* Fiber.interrupt(loop)
        const left = cdcSnapshot(capture, "public.u")
        yield* says(left, "public.u waiting")
        left.child.kill("SIGINT")
        const { code, said } = yield* ended(left)
        assert.strictEqual(code, 130, said)
        assert.match(said, /No capture is running[^]*The re-reads go on without this command/)
        yield* capture.start
        yield* capture.until((record) => isIncremental(record) && envelope(record).after!.id === 2)
      })))
})
