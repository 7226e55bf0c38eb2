import { assert } from "@effect/vitest"
import { Deferred, Effect, type Scope } from "effect"
import pg from "pg"
import * as Rereads from "../../src/capture/Rereads.ts"
import { AppConfig } from "../../src/Config.ts"
import { Postgres } from "../../src/connections/Postgres.ts"
import * as TableName from "../../src/domain/TableName.ts"
import type { OwnDatabase } from "../support/TestDatabase.ts"
import type { ReadRecord } from "../support/TestTopics.ts"
import { type CaptureUnderTest, disorder, envelope, finalState } from "./CaptureFixture.ts"

export interface FinishedReread {
  readonly state: string
  readonly error: string | null
  /** int8 as text. */
  readonly rows: string
}

/** Asks for re-reads of a capture that is set up, and waits for their end without asking again and again. */
export const rereading = Effect.fnUntraced(function*(capture: CaptureUnderTest): Effect.fn.Return<Rereading, never, Scope.Scope> {
  const { database } = capture
  yield* Effect.promise(() => database.query(tellOfProgress))
  const listener = yield* connection(database)
  const waiting = new Set<{ readonly is: (payload: string) => boolean; readonly seen: Deferred.Deferred<void> }>()
  listener.on("notification", ({ payload }) => {
    for (const waiter of waiting) if (waiter.is(payload!)) Deferred.doneUnsafe(waiter.seen, Effect.void)
  })
  yield* Effect.promise(() => listener.query("listen reread"))
  const until = (is: (payload: string) => boolean, isAlready: () => Promise<boolean>) =>
    Effect.gen(function*() {
      const waiter = { is, seen: Deferred.makeUnsafe<void>() }
      waiting.add(waiter)
      if (!(yield* Effect.promise(isAlready))) yield* Deferred.await(waiter.seen)
      waiting.delete(waiter)
    })
  const read = (id: bigint) => database.query<FinishedReread>("select state, error, rows from cdc.rereads where id = $1", [id]).then(([row]) => row!)
  return {
    ask: (table, options = {}) =>
      capture.provide(Effect.gen(function*() {
        const { source } = yield* AppConfig
        const rereads = Rereads.make(source.stateSchema, source.slot)
        return yield* rereads.request(yield* Postgres, { table: TableName.parse(table), sweep: false, reason: "asked", ...options })
      })) as Effect.Effect<bigint>,
    finished: (id) =>
      Effect.andThen(
        until((payload) => [`${id} done`, `${id} failed`].includes(payload), async () => ["done", "failed"].includes((await read(id)).state)),
        Effect.promise(() => read(id))
      ),
    delayed: (id) => until(
      (payload) => [`${id} delayed`, `${id} done`, `${id} failed`].includes(payload),
      async () => (await read(id)).error !== null || (await read(id)).state === "done"
    )
  }
})

export interface Rereading {
  readonly ask: (table: string, options?: Partial<Rereads.Request>) => Effect.Effect<bigint>
  readonly finished: (id: bigint) => Effect.Effect<FinishedReread>
  /** Until it waits for something, and says so; or, where it should have, is finished. */
  readonly delayed: (id: bigint) => Effect.Effect<void>
}

const tellOfProgress = `
  create function public.tell_of_reread() returns trigger language plpgsql as $$ begin
    perform pg_notify('reread', new.id || ' ' || case when new.state in ('done', 'failed') then new.state when new.error is null then '-' else 'delayed' end);
    return null;
  end $$;
  create trigger tell after update on cdc.rereads for each row execute function public.tell_of_reread()`

export const connection = (database: OwnDatabase): Effect.Effect<pg.Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const client = new pg.Client({ connectionString: database.url })
      client.on("error", () => {})
      await client.connect()
      return client
    }),
    (client) => Effect.promise(() => client.end())
  )

/**
 * Writes to `public.t (id int primary key, v bigint, w text)` until the scope ends: each of several writers has keys of its own, so that the `v`
 * of a key, from one sequence, only grows. Rows are changed, deleted, made again and moved to other keys.
 */
export const hammer = Effect.fnUntraced(function*(database: OwnDatabase, keys: number): Effect.fn.Return<void, never, Scope.Scope> {
  for (let writer = 0; writer < writers; writer++) {
    const client = yield* connection(database)
    let isOn = true
    const write = async () => {
      for (let n = 0; isOn; n++) {
        const id = (n * 7 % Math.ceil(keys / writers)) * writers + writer
        await client.query(steps[n % steps.length]!(id))
      }
    }
    yield* Effect.acquireRelease(Effect.sync(write), (writing) => Effect.promise(() => {
      isOn = false
      return writing
    }))
  }
})

const writers = 3

const steps: ReadonlyArray<(id: number) => string> = [
  (id) => `update public.t set v = nextval('public.versions') where id = ${id}`,
  (id) => `delete from public.t where id = ${id}`,
  (id) => `insert into public.t values (${id}, nextval('public.versions'), 'again') on conflict (id) do update set v = excluded.v`,
  (id) => `begin; update public.t set id = id + 1000000, v = nextval('public.versions') where id = ${id}; update public.t set id = ${id}, v = nextval('public.versions') where id = ${id} + 1000000; commit`,
  (id) => `begin; update public.t set v = nextval('public.versions') where id = ${id}; rollback`
]

export const hammered = (rows: number): string => `
  create sequence public.versions;
  create table public.t (id int primary key, v bigint not null, w text);
  insert into public.t select n - 1, nextval('public.versions'), repeat('x', n % 50) from generate_series(1, ${rows}) n`

/** The topic's last word on every key is the table's, positions grow, and no record has an earlier value than one before it. */
export const assertConverged = Effect.fnUntraced(function*({ database, read }: CaptureUnderTest) {
  const records = yield* read("public.t")
  assert.deepStrictEqual(disorder(records), [])
  assert.deepStrictEqual(stale(records), [])
  const rows = yield* Effect.promise(() => database.query<{ id: number; v: string; w: string | null }>("select id, v, w from public.t order by id"))
  const final = [...finalState(records).values()].toSorted((a, b) => Number(a.id) - Number(b.id))
  assert.deepStrictEqual(final, rows.map((row) => ({ ...row, v: Number(row.v) })))
  return records
})

/** Records with an older `v` than one of the same key before them. */
const stale = (records: ReadonlyArray<ReadRecord>): ReadonlyArray<string> => {
  const newest = new Map<string, number>()
  return records.flatMap((record) => {
    const after = record.value === null ? null : envelope(record).after
    if (after === null) return []
    const key = record.key!.toString()
    const before = newest.get(key) ?? 0
    const version = Number(after.v)
    newest.set(key, Math.max(before, version))
    return version < before ? [`partition ${record.partition} offset ${record.offset}: version ${version} of ${key} after ${before}`] : []
  })
}

export const isIncremental = (record: { readonly value: Buffer | null }): boolean =>
  record.value !== null && envelope({ value: record.value }).source.snapshot === "incremental"
