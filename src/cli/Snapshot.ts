import { Console, Effect, Option } from "effect"
import { Argument, Command, Flag } from "effect/cli"
import * as Rereads from "../capture/Rereads.ts"
import * as Slot from "../capture/Slot.ts"
import { AppConfig } from "../Config.ts"
import { Postgres } from "../connections/Postgres.ts"
import * as TableName from "../domain/TableName.ts"
import type { RereadStatus } from "../observability/SystemStatus.ts"
import { requestRereads } from "../run/RequestRereads.ts"
import { describe, rereadStatus } from "../run/RereadStatus.ts"
import * as Connections from "./Connections.ts"
import { Findings } from "./ExitCode.ts"

export const snapshot = Command.make(
  "snapshot",
  {
    tables: Argument.String("table").pipe(
      Argument.withDescription("One or more captured tables, as schema.table"),
      Argument.variadic({ min: 1 })
    ),
    where: Flag.String("where").pipe(
      Flag.withDescription("Only rows for which this SQL condition holds; run as it stands, in read-only transactions"),
      Flag.optional
    ),
    wait: Flag.Boolean("wait").pipe(Flag.withDescription("Follow the progress until they are done; --no-wait only asks"), Flag.withDefault(true)),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print what became of them as JSON"), Flag.withDefault(false))
  },
  Effect.fnUntraced(function*({ json, tables, wait, where }) {
    const asked = yield* requestRereads(tables, Option.getOrUndefined(where))
    for (const { table } of asked.filter(({ hadGap }) => hadGap && Option.isSome(where))) {
      yield* Console.error(`${TableName.format(table)} has a gap: all of its rows are read, whatever --where says.`)
    }
    const ids = asked.map(({ id }) => id)
    yield* warnIfNobodyReads
    const found = yield* (wait ? follow(ids) : statusOf(ids))
    yield* Console.log(json ? JSON.stringify(found, null, 2) : found.map((reread) => `${reread.table} ${describe(reread)}`).join("\n"))
    const failed = found.filter(({ state }) => state === "failed")
    if (failed.length > 0) return yield* new Findings({ message: `${failed.length} of ${found.length} re-reads failed` })
  }, Effect.provide(Connections.layer))
).pipe(
  Command.withShortDescription("Read tables again while their changes are streamed"),
  Command.withDescription(
    "Read captured tables again while their changes are streamed: every row gets a record `r`, none of which overwrites a later change. What "
      + "the table has no more is deleted in its topic afterwards, unless there is a --where. After ADD COLUMN … DEFAULT, after a partition was attached, detached or "
      + "dropped, or for a table that /readyz calls gapped, which is put back into the publication. The running capture does it; Ctrl-C leaves it to it."
  ),
  Command.withExamples([
    { command: "cdc snapshot outreach.campaigns", description: "All rows; progress on stderr, exit code 1 if it fails" },
    { command: "cdc snapshot outreach.campaigns outreach.sequences --no-wait", description: "Only asks" },
    { command: "cdc snapshot outreach.send_log --where \"sent_at > now() - interval '1 day'\"", description: "Some rows" }
  ])
)

const statusOf = Effect.fnUntraced(function*(ids: ReadonlyArray<bigint>) {
  const { source } = yield* AppConfig
  return (yield* Rereads.make(source.stateSchema, source.slot).list(yield* Postgres, ids)).map(rereadStatus)
})

/** How often the terminal is told. */
const toldEvery = "1 second"

const follow = (ids: ReadonlyArray<bigint>) =>
  Effect.gen(function*() {
    const told = new Map<number, string>()
    for (;;) {
      const found = yield* statusOf(ids)
      for (const reread of found) yield* tell(reread, told)
      if (found.every(isFinished)) return found
      yield* Effect.sleep(toldEvery)
    }
  }).pipe(Effect.onInterrupt(() => Console.error("The re-reads go on without this command: `cdc status` shows them.")))

const isFinished = ({ state }: RereadStatus): boolean => state === "done" || state === "failed"

/** What is new about it. */
const tell = (reread: RereadStatus, told: Map<number, string>) =>
  Effect.suspend(() => {
    const line = `${reread.table} ${describe(reread)}`
    if (told.get(reread.id) === line) return Effect.void
    told.set(reread.id, line)
    return Console.error(line)
  })

const warnIfNobodyReads = Effect.gen(function*() {
  const { source } = yield* AppConfig
  const slot = yield* Slot.read(yield* Postgres, source.slot)
  if (slot?.active === true) return
  yield* Console.error("No capture is running: they begin when `cdc run` or `cdc capture` does.")
})
