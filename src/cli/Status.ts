import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import { captureStates, pipelineStates, type ReplayStatus, type SystemStatus } from "../observability/SystemStatus.ts"
import { Progress } from "../run/Progress.ts"
import { describe as describeSnapshot } from "../run/SnapshotStatus.ts"
import { describe } from "../run/RereadStatus.ts"
import * as Connections from "./Connections.ts"
import { right, textTable } from "./TextTable.ts"

export const status = Command.make(
  "status",
  {
    json: Flag.Boolean("json").pipe(Flag.withDescription("The same as /status answers"), Flag.withDefault(false))
  },
  Effect.fnUntraced(function*({ json }) {
    const progress = yield* Progress
    const found = yield* progress.status
    yield* Console.log(json ? JSON.stringify(found, null, 2) : render(found))
  }, Effect.provide(Connections.layer))
).pipe(
  Command.withShortDescription("How far the whole system is"),
  Command.withDescription(
    "How far the whole system is, told from Postgres and Kafka: also while nothing of it runs. Takes up to 2 s to see whether it is caught up."
  ),
  Command.withExamples([
    { command: "cdc status", description: "For people" },
    { command: "cdc status --json", description: "For machines: .caughtUp, .settled, .capture.lagBytes, .pipelines[].lagRecords" }
  ])
)

/** The status for a person. */
export const render = (status: SystemStatus): string => {
  const { capture, pipelines, snapshot } = status
  const lines = [
    `${status.caughtUp ? "Caught up" : "Not caught up"}${status.settled ? " and settled" : ""}.`,
    "",
    `capture   ${words(capture.state)}: ${captureStates[capture.state]}`,
    `          slot ${capture.slot}, confirmed ${capture.confirmedLsn ?? "-"} of ${capture.currentLsn}`,
    `          ${count(capture.lagBytes)} bytes behind (${age(capture.lagSeconds)}), ${count(capture.retainedWalBytes)} bytes of WAL kept`,
    ...capture.deadLetters === 0 ? [] : [`          ${count(capture.deadLetters)} records were too large for their topic: see the dead letters, <topic>.capture.dlq`],
    ...capture.gaps.map(({ remedy, table, why }) => `gap       ${table}: ${why}; ${remedy}`),
    ...capture.eventGaps.map(({ remedy, topic, why }) => `gap       ${topic}: ${why}; ${remedy}`),
    `snapshot  ${snapshot.state}: ${describeSnapshot(snapshot)}`,
    ...(snapshot.state === "reading" ? ["", snapshotTable(snapshot.tables), ""] : []),
    ...status.rereads.map((reread) => `re-read   ${reread.table} ${describe(reread)}`),
    "",
    textTable(
      ["pipeline", "state", ...["behind", "lag", "applied", "written", "pending", "dead letters"].map(right)],
      pipelines.map((pipeline) => [
        pipeline.mode === "shadow" ? `${pipeline.name} (shadow)` : pipeline.name,
        words(pipeline.state),
        count(pipeline.lagRecords),
        age(pipeline.lagSeconds),
        count(pipeline.applied),
        count(pipeline.writes),
        count(pipeline.pending),
        count(pipeline.deadLetters)
      ])
    ),
    ...pipelines.filter(({ otherWrites }) => otherWrites > 0).map(({ name, otherWrites }) =>
      `${name}: somebody else has written ${count(otherWrites)} of its rows since they were scored; is another job still at work?`),
    ...pipelines.flatMap(lettersLine),
    ...pipelines.flatMap(({ name, replay }) => replay === null ? [] : [`${name} is replayed: ${describeReplay(replay)}`]),
    ...pipelines.filter(({ state }) => state !== "running").map(({ name, pausedWhy, state }) => pausedWhy ?? `${name} is ${words(state)}: ${pipelineStates[state]}`)
  ]
  return lines.join("\n")
}

const lettersLine = ({ name, openDeadLetters, suspectRows }: SystemStatus["pipelines"][number]): ReadonlyArray<string> => {
  const reasons = Object.entries(openDeadLetters).map(([reason, open]) => `${reason} ${count(open)}`)
  if (reasons.length === 0) return []
  const suspects = suspectRows === 0 ? "" : `; ${count(suspectRows)} source ${suspectRows === 1 ? "row counts" : "rows count"} as before a change that can't be read`
  return [`${name} has open dead letters: ${reasons.join(", ")}${suspects}; \`cdc dead-letters list --pipeline ${name}\``]
}

const describeReplay = ({ done, of, percent, recordsPerSecond, secondsLeft }: ReplayStatus): string =>
  `${count(done)} of ${count(of)} records (${percent} %)${recordsPerSecond === 0 ? ", interrupted" : secondsLeft === null ? "" : `, ${age(secondsLeft)} left`}`

/** Only while it goes on: afterwards nobody asks. */
const snapshotTable = (tables: SystemStatus["snapshot"]["tables"]): string =>
  textTable(
    ["table", "state", ...["rows", "of about", "%", "rows/s", "time left"].map(right)],
    tables.map((row) => [
      row.table,
      row.state,
      count(row.rows),
      row.estimatedRows === null ? "-" : count(row.estimatedRows),
      row.percent === null ? "-" : row.percent.toFixed(1),
      row.rowsPerSecond === null ? "-" : count(row.rowsPerSecond),
      row.state === "done" ? "" : age(row.secondsLeft)
    ])
  )

/** `notSetUp`, as machines know it, for a person. */
const words = (state: string): string => state.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
const count = (value: number): string => value.toLocaleString("en-US")
const age = (seconds: number | null): string => seconds === null ? "-" : `${Math.round(seconds * 10) / 10} s`
