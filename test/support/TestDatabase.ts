import { Context, Effect, Layer } from "effect"
import { randomBytes } from "node:crypto"
import pg from "pg"
import { inject } from "vitest"
import { quoteIdentifier } from "../../src/domain/SqlIdentifier.ts"

/** An empty database of its own; dropped afterwards, with every replication slot in it. */
export interface OwnDatabase {
  readonly url: string
  readonly name: string
  /** Rows as `pg` gives them by default: int8 and numeric as text, timestamps as Date. */
  readonly query: <Row extends object = Record<string, unknown>>(
    statement: string,
    parameters?: ReadonlyArray<unknown>
  ) => Promise<ReadonlyArray<Row>>
  readonly drop: () => Promise<void>
}

/** `server`: another one than the run's own, as `inject("postgres15Url")`. */
export const createDatabase = async (server: string = inject("databaseUrl")): Promise<OwnDatabase> => {
  const name = `test_${randomBytes(6).toString("hex")}`
  const url = new URL(server)
  url.pathname = `/${name}`
  await administer(server, (client) => client.query(`create database ${quoteIdentifier(name)}`))
  const pool = new pg.Pool({ connectionString: url.href, max: 3, application_name: "test" })
  pool.on("error", () => {}) // reported by the query that is under way
  return {
    url: url.href,
    name,
    query: async <Row extends object>(statement: string, parameters: ReadonlyArray<unknown> = []) =>
      (await pool.query(statement, parameters as Array<unknown>)).rows as ReadonlyArray<Row>,
    drop: async () => {
      await pool.end()
      await administer(server, async (client) => {
        await client.query(dropSlots, [name])
        await client.query(`drop database if exists ${quoteIdentifier(name)} with (force)`)
      })
    }
  }
}

/** {@link OwnDatabase} as a service: one database per test file. */
export class TestDatabase extends Context.Service<TestDatabase, OwnDatabase>()("cdc/test/TestDatabase") {
  static readonly layerOn = (server?: string) => Layer.effect(
    TestDatabase,
    Effect.acquireRelease(Effect.promise(() => createDatabase(server)), (database) => Effect.promise(database.drop))
  )
  static readonly layer = TestDatabase.layerOn()
}

/** Hangs up on each slot's reader, waits until it is gone (`pg_terminate_backend` with a timeout), and drops the slot. */
const dropSlots = `
  select case when active_pid is null then true else pg_terminate_backend(active_pid, 5000) end, pg_drop_replication_slot(slot_name)
  from pg_replication_slots where database = $1 and not temporary`

const administer = async (server: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> => {
  const client = new pg.Client({ connectionString: server })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}
