import { once } from "node:events"
import { type AddressInfo, createServer } from "node:net"
import pg from "pg"
import { describe, expect, it } from "vitest"
import { fromCause } from "../../src/connections/PostgresError.ts"

const secret = "ann@hub.example"

/** As `pg` hands them over; messages as Postgres 15 and 18 word them. */
const errors = [
  { code: "23505", message: `duplicate key value violates unique constraint "people_email_key"`, detail: `Key (email)=(${secret}) already exists.` },
  { code: "23514", message: `new row for relation "people" violates check constraint "adult"`, detail: `Failing row contains (1, ${secret}).` },
  { code: "22P02", message: `invalid input syntax for type integer: "${secret}"` },
  { code: "22P02", message: `invalid input syntax for type integer: "7\n${secret} "quoted""` },
  { code: "22P02", message: `syntaxe en entrée invalide pour le type integer : « ${secret} »` },
  { code: "22P02", message: `ungültige Eingabesyntax für Typ integer: »${secret}«` },
  { code: "22003", message: `value "${secret}" is out of range for type integer` },
  { code: "22021", message: `invalid byte sequence for encoding "UTF8": ${secret}` },
  { code: "P0001", message: `no such person: ${secret}`, routine: "exec_stmt_raise" },
  { code: "23505", message: `person ${secret} is there already`, routine: "exec_stmt_raise" },
  { code: "44000", message: `new row violates check option for view "${secret}"` }
]

describe("a failure of Postgres", () => {
  it.each(errors)("$code: $message is told without a row's values", (cause) => {
    const error = fromCause("Writing the aggregates", cause)
    expect(JSON.stringify(error)).not.toContain("hub.example")
    expect(error.message).not.toContain("hub.example")
    expect(error.message).toMatch(/^Writing the aggregates: \S.*\(\w{5}\)/)
  })

  it.each([["53300", "number of requested standby connections exceeds max_wal_senders (currently 1)", "max_wal_senders"], ["53400", "all replication slots are in use", "max_replication_slots"]])(
    "%s passes when somebody makes room, and says where", (code, message, setting) => {
      const error = fromCause("Exporting a snapshot", { code, message })
      expect(error.isRetryable).toBe(true)
      expect(error.message.split("; ")[1]).toContain(`raise ${code === "53300" ? "max_connections, for replication " : ""}${setting}`)
    })

  it.each(["42P01", "42703", "3F000"])("%s, of what is not there, sends to who knows what it should be", (code) => {
    expect(fromCause("Comparing", { code, message: "x does not exist" }).message).toMatch(/DATABASE_URL the hub's\? `cdc validate` says what is missing/)
  })

  it.each([
    ["25P03", "terminating connection due to idle-in-transaction timeout"],
    ["25P04", "terminating connection due to transaction timeout"]
  ])("%s, with which the server ends a session that takes too long, is one to try again", (code, message) => {
    expect(fromCause("Writing", { code, message }).isRetryable).toBe(true)
  })

  it("keeps what a person needs to find the cause", () => {
    expect(fromCause("Writing", errors[0]!).message).toBe(`Writing: duplicate key value violates unique constraint "people_email_key" (23505)`)
    expect(fromCause("Writing", errors[2]!).message).toBe("Writing: invalid input syntax for type integer (value withheld) (22P02)")
  })

  it("is worth another try while the server is frozen: for who connects, with or without a pool, and for who waits for a place in the pool", async () => {
    const frozen = createServer((socket) => void socket.on("error", () => {})).listen(0, "127.0.0.1") // the kernel accepts, nobody answers
    await once(frozen, "listening")
    const options = { host: "127.0.0.1", port: (frozen.address() as AddressInfo).port, user: "cdc", connectionTimeoutMillis: 50 }
    const pool = new pg.Pool({ ...options, max: 1 })
    const causes = await Promise.all([pool.connect(), pool.connect(), new pg.Client(options).connect()].map((tried) => tried.then(() => undefined, (cause: Error) => cause)))
    await pool.end()
    frozen.close()
    expect(new Set(causes.map((cause) => cause?.message)).size, "three ways of saying it").toBe(3)
    expect(causes.map((cause) => fromCause("Connecting to Postgres", cause).isRetryable)).toEqual([true, true, true])
  })
})
