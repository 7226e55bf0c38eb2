import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import * as Names from "../../src/observability/MetricNames.ts"
import * as Metrics from "../../src/observability/Metrics.ts"

const recordAll = () => {
  Metrics.captured("slot", 2)
  Metrics.changesCaptured("outreach.campaigns", "c", 3)
  Metrics.published("hub.outreach.campaigns", 3)
  Metrics.publishDuration("hub.outreach.campaigns", 0.02)
  Metrics.applied({ pipeline: "p", changes: 7, seconds: 0.03, atMillis: 2_000, commitMicros: [1_000_000, 1_900_000] })
  Metrics.pipelineLag("p", "t", 0, 11)
  Metrics.deadLetters("p", "unreadable", 1)
  Metrics.openDeadLetters("p", { unreadable: 1 }, 1)
  Metrics.paused("p", true)
  Metrics.otherWrites("p", 1)
  Metrics.replay("p", { generation: 2, done: 3, of: 10, percent: 30, recordsPerSecond: 4, secondsLeft: 2 })
  Metrics.failed("capture", "interrupted", true)
  Metrics.snapshotRows("outreach.campaigns", 5)
  Metrics.snapshotTablesRemaining(4)
  Metrics.buildInfo("1.2.3")
  Metrics.replication({ name: "slot", connected: true, walStatus: "reserved", lagBytes: 10, retainedWalBytes: 20, lagSeconds: 0.5 })
}

describe("metrics", () => {
  it("has every name with its type and its labels, and the process's own", async () => {
    recordAll()
    const text = await Effect.runPromise(Metrics.text)
    for (const { labels, name, type } of Names.all) {
      assert.include(text, `# TYPE ${name} ${type}`)
      const series = text.split("\n").find((line) => line.startsWith(type === "histogram" ? `${name}_count` : name))
      assert.isDefined(series, name)
      const found = [...series!.matchAll(/([a-z_]+)="/g)].map((match) => match[1]!)
      assert.deepStrictEqual(found.sort(), [...labels].sort(), name)
    }
    for (const name of ["process_resident_memory_bytes", "nodejs_eventloop_lag_p99_seconds"]) assert.include(text, `\n${name} `)
    assert.match(text, /\nnodejs_version_info\{/)
  })

  it("says that a reason has no open dead letters any more", async () => {
    Metrics.openDeadLetters("mended", { "not-json": 2, "no-key": 1 }, 2)
    Metrics.openDeadLetters("mended", { "no-key": 3 }, 0)
    const text = await Effect.runPromise(Metrics.text)
    assert.include(text, `cdc_dead_letters_open{pipeline="mended",reason="not-json"} 0`)
    assert.include(text, `cdc_dead_letters_open{pipeline="mended",reason="no-key"} 3`)
    assert.include(text, `cdc_suspect_rows{pipeline="mended"} 0`)
  })

  it("says of a replay that it is over", async () => {
    Metrics.replay("rebuilt", { generation: 2, done: 3, of: 10, percent: 30, recordsPerSecond: null, secondsLeft: null })
    Metrics.replay("rebuilt", null)
    const text = await Effect.runPromise(Metrics.text)
    assert.deepStrictEqual(text.split("\n").filter((line) => line.startsWith("cdc_replay_") && line.includes("rebuilt")).map((line) => line.split(" ")[1]), ["0", "0", "0", "0"])
  })

  it("counts, sets, and sorts durations into seconds", async () => {
    Metrics.captured("counted", 2)
    Metrics.captured("counted", 3)
    Metrics.applied({ pipeline: "timed", changes: 1, seconds: 0.03, atMillis: 2_000, commitMicros: [1_000_000, 1_940_000] })
    Metrics.replication({ name: "s", connected: false, walStatus: "lost", lagBytes: 0, retainedWalBytes: 0, lagSeconds: 0 })
    const text = await Effect.runPromise(Metrics.text)
    for (const line of [
      `cdc_transactions_captured_total{slot="counted"} 5`,
      `cdc_apply_duration_seconds_bucket{pipeline="timed",le="0.025"} 0`,
      `cdc_apply_duration_seconds_bucket{pipeline="timed",le="0.05"} 1`,
      `cdc_end_to_end_latency_seconds_bucket{pipeline="timed",le="0.075"} 1`,
      `cdc_end_to_end_latency_seconds_bucket{pipeline="timed",le="1"} 2`,
      `cdc_last_applied_timestamp_seconds{pipeline="timed"} 2`,
      `cdc_slot_status{slot="s",status="lost"} 1`,
      `cdc_slot_status{slot="s",status="reserved"} 0`
    ]) assert.include(text, `\n${line}\n`)
  })
})
