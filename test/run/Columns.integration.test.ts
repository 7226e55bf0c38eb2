import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { createHash } from "node:crypto"
import { unavailableValue } from "../../src/domain/UnavailableValue.ts"
import { envelope, withCapture } from "./CaptureFixture.ts"

const salt = "a salt of the test, long enough"
const hashed = (text: string) => createHash("sha256").update(salt + text).digest("hex")

const options = {
  tables: "public.people, public.orders",
  ddl: `
    create table public.people (email text primary key, name text, born date, bio text, note text);
    alter table public.people replica identity full;
    create table public.orders (id int primary key, buyer text, memo text);
    alter table public.orders alter memo set storage external;
    insert into public.people values ('ann@secret.example', 'Ann Secret', '2001-02-03', 'a😀secret', 'n');
    insert into public.orders values (1, 'ann@secret.example', repeat('secret', 2000))`,
  overrides: {
    columns: {
      exclude: "public.people.name",
      hash: "public.people.email, public.people.born, public.orders.buyer, public.orders.memo",
      truncate: "public.people.bio:2",
      hashSalt: salt
    }
  }
}

describe("columns that must not leave as they are", () => {
  it.live("do not, by snapshot or stream, in old rows, keys, headers or placeholders", () =>
    withCapture(options, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const running = yield* capture.start
        yield* capture.caughtUp
        yield* capture.sql("update public.people set note = 'm'")
        yield* capture.sql("update public.people set email = 'bob@secret.example'")
        yield* capture.sql("update public.orders set buyer = 'bob@secret.example'") // memo lies out of line and is not sent
        yield* capture.sql("delete from public.people")
        yield* capture.caughtUp
        yield* Fiber.interrupt(running)

        const people = yield* capture.read("public.people")
        const orders = yield* capture.read("public.orders")
        for (const { headers, key, value } of [...people, ...orders]) {
          assert.notMatch([key, value, JSON.stringify(headers)].join(), /secret|2001|11356/i)
        }
        const ann = { email: hashed("ann@secret.example"), born: hashed("2001-02-03"), bio: "a😀", note: "n" }
        const bob = { ...ann, email: hashed("bob@secret.example"), note: "m" }
        const byCommit = people.filter(({ value }) => value !== null).map(envelope).toSorted((a, b) => a.source.ts_us - b.source.ts_us || a.transaction.total_order - b.transaction.total_order)
        assert.deepStrictEqual(byCommit.map(({ after, before, op }) => ({ op, before, after })), [
          { op: "r", before: null, after: ann },
          { op: "u", before: ann, after: { ...ann, note: "m" } },
          { op: "d", before: { ...ann, note: "m" }, after: null },
          { op: "c", before: null, after: bob },
          { op: "d", before: bob, after: null }
        ])
        assert.deepStrictEqual([...new Set(people.map(({ key }) => key!.toString()))].toSorted(),
          [`{"email":"${ann.email}"}`, `{"email":"${bob.email}"}`].toSorted())
        // A join still finds what belongs together, in the row as in the headers of a key that changed.
        assert.deepStrictEqual(orders.map((record) => envelope(record).after!.buyer), [ann.email, bob.email])
        assert.deepStrictEqual(orders.map((record) => envelope(record).after!.memo), [hashed("secret".repeat(2_000)), unavailableValue])
        assert.include(people.map(({ headers }) => headers["__debezium.oldkey"]), `{"email":"${ann.email}"}`)
      })))

  it.live("stop capture, with the reason, where a key would lose its column", () =>
    withCapture({ ...options, overrides: { columns: { exclude: "public.orders.id" } } }, (capture) =>
      Effect.gen(function*() {
        yield* capture.setup
        const error = yield* Fiber.join(yield* capture.start).pipe(Effect.flip)
        assert.strictEqual(error._tag, "EncodeError")
        assert.match(error.message, /public\.orders\.id is part of its table's key/)
      })))
})
