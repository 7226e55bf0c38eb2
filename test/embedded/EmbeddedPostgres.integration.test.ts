import { Effect, Logger } from "effect"
import { execFileSync } from "node:child_process"
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import pg from "pg"
import { afterAll, expect, it } from "vitest"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"

// Nobody but its owner may enter it, as a clone below /root.
const parent = mkdtempSync(join(tmpdir(), "cdc-postgres-"))
chmodSync(parent, 0o700)
afterAll(() => rmSync(parent, { recursive: true }))

const options = { directory: join(parent, "postgres"), database: "hub" }

/** Without a log: it would tell of the death that is the point here. */
const during = <A>(work: (client: pg.Client, databaseUrl: string) => Promise<A>): Promise<A> =>
  Effect.runPromise(Effect.scoped(Effect.flatMap(EmbeddedPostgres.start(options), ({ databaseUrl }) =>
    Effect.promise(async () => {
      const client = new pg.Client({ connectionString: databaseUrl })
      client.on("error", () => {}) // it is killed below
      await client.connect()
      return await work(client, databaseUrl).finally(() => client.end().catch(() => {}))
    }))).pipe(Effect.provide(Logger.layer([]))))

it("decodes logically, asks for a password, and after a SIGKILL resumes with its data at the same address", async () => {
  const first = await during(async (client, url) => {
    expect((await client.query("show wal_level")).rows).toEqual([{ wal_level: "logical" }])
    const intruder = new pg.Client({ connectionString: url.replace(/:[^:@]*@/, ":wrong@") })
    await expect(intruder.connect()).rejects.toThrow("password authentication failed")
    await client.query("create table kept as select 1 as n")
    // The postmaster alone; its children notice by themselves.
    const gone = new Promise((resolve) => client.once("end", resolve))
    execFileSync("kill", ["-9", readFileSync(join(options.directory, "data/postmaster.pid"), "utf8").split("\n")[0]!])
    await gone
    return url
  })
  const second = await during(async (client, url) => {
    expect((await client.query("select n from kept")).rows).toEqual([{ n: 1 }])
    return url
  })
  expect(second).toBe(first)
})
