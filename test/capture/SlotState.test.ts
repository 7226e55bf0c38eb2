import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { parseHistory } from "../../src/capture/Identity.ts"
import * as SlotState from "../../src/capture/SlotState.ts"
import * as Lsn from "../../src/domain/Lsn.ts"
import { slotStates } from "../fixtures/slot-states.ts"

const identity = { systemIdentifier: "7", database: "hub", publicationOid: 5, publicationXmin: "740", publicationOwner: 10 }
const names = { slot: "hub_cdc", publication: "hub_cdc" }

/** All is well, published up to 0/500 and confirmed to 0/600, on a server whose WAL ends at 0/1000. */
const good: SlotState.SlotFacts = {
  record: { ...identity, epoch: 2, snapshot: "done", consistentPoint: Lsn.parse("0/100") },
  journal: { ...identity, epoch: 2, timeline: 3, confirmed: Lsn.parse("0/600") },
  server: { systemIdentifier: "7", database: "hub", timeline: 3, history: [], walEnd: Lsn.parse("0/1000") },
  slot: { database: "hub", plugin: "pgoutput", active: true, invalidated: undefined, confirmedFlush: Lsn.parse("0/600") },
  publication: { oid: 5, xmin: "740", owner: 10, missingOperations: [], allTables: false, generatedColumns: true, viaRoot: true, partialTables: new Set<string>(), tables: new Set() },
  tail: { epoch: 2, commitLsn: Lsn.parse("0/500"), order: 1 },
  isReader: true
}

const stateOf = (facts: Partial<SlotState.SlotFacts>) => SlotState.judge({ ...good, ...facts })._tag
const slot = (change: Partial<NonNullable<SlotState.SlotFacts["slot"]>>) => stateOf({ slot: { ...good.slot!, ...change } })
const publication = (change: Partial<NonNullable<SlotState.SlotFacts["publication"]>>) => stateOf({ publication: { ...good.publication!, ...change } })
const journal = (change: Partial<SlotState.JournalEntry>) => stateOf({ journal: { ...good.journal!, ...change } })
const server = (change: Partial<SlotState.ServerFacts>, more: Partial<SlotState.SlotFacts> = {}) => stateOf({ ...more, server: { ...good.server, ...change } })

describe("the state of a slot", () => {
  it("is good when all is as remembered, on both sides or where Kafka does not remember yet", () => {
    assert.strictEqual(stateOf({}), "ready")
    assert.strictEqual(stateOf({ journal: undefined, tail: undefined }), "ready")
    assert.strictEqual(stateOf({ record: { ...good.record!, publicationXmin: undefined }, journal: undefined }), "ready")
    assert.strictEqual(stateOf({ isReader: false }), "standby")
    assert.strictEqual(stateOf({ isReader: false, slot: { ...good.slot!, active: false } }), "ready")
  })

  it("is good behind the journal: after a crash the server remembers an earlier position", () => {
    assert.strictEqual(slot({ confirmedFlush: Lsn.parse("0/300") }), "ready")
  })

  it("is a beginning only where neither side remembers anything", () => {
    const none = { record: undefined, journal: undefined, slot: undefined }
    assert.strictEqual(stateOf(none), "notSetUp")
    assert.strictEqual(stateOf({ ...none, slot: good.slot }), "slotForeign")
    assert.strictEqual(stateOf({ ...none, journal: good.journal }), "forgotten")
  })

  it("tells what happened to the slot", () => {
    assert.strictEqual(stateOf({ slot: undefined }), "slotMissing")
    assert.strictEqual(slot({ database: "other" }), "slotElsewhere")
    assert.strictEqual(slot({ plugin: "wal2json" }), "slotElsewhere")
    assert.strictEqual(slot({ invalidated: "idle_timeout" }), "slotLost")
    assert.strictEqual(slot({ confirmedFlush: Lsn.parse("0/601") }), "slotMoved")
  })

  it("tells what happened to the publication, by what either side remembers of it", () => {
    assert.strictEqual(stateOf({ publication: undefined }), "publicationMissing")
    assert.strictEqual(publication({ oid: 6 }), "publicationReplaced")
    assert.strictEqual(journal({ publicationOid: 6 }), "publicationReplaced")
    assert.strictEqual(publication({ xmin: "741" }), "publicationAltered")
    assert.strictEqual(journal({ publicationXmin: "741" }), "publicationAltered")
    assert.strictEqual(publication({ missingOperations: ["truncate"] }), "publicationAltered")
  })

  it("is good when the publication was given another owner, which changes nothing of what it publishes", () => {
    const given = { xmin: "741", owner: 11 }
    assert.strictEqual(publication(given), "ready")
    assert.strictEqual(publication({ ...given, missingOperations: ["update"] }), "publicationAltered")
    assert.strictEqual(publication({ ...given, viaRoot: false }), "publicationAltered")
    assert.strictEqual(publication({ ...given, oid: 6 }), "publicationReplaced")
    assert.strictEqual(publication({ xmin: "741" }), "publicationAltered")
    const unknown = { record: { ...good.record!, publicationOwner: undefined }, publication: { ...good.publication!, ...given } }
    assert.strictEqual(stateOf(unknown), "publicationAltered", "an earlier version has not remembered whose it was")
  })

  it("tells another server and another database, whatever else differs there", () => {
    assert.strictEqual(server({ systemIdentifier: "8" }, { slot: undefined }), "otherServer")
    assert.strictEqual(journal({ systemIdentifier: "8" }), "otherServer")
    assert.strictEqual(server({ database: "other" }, { slot: undefined }), "otherDatabase")
  })

  it("tells a database that was restored to an earlier state by what Kafka has of a later one", () => {
    assert.strictEqual(stateOf({ tail: { epoch: 2, commitLsn: Lsn.parse("0/1001"), order: 1 } }), "otherHistory")
    assert.strictEqual(stateOf({ tail: { epoch: 3, commitLsn: Lsn.parse("0/1"), order: 1 } }), "otherHistory")
    assert.strictEqual(journal({ confirmed: Lsn.parse("0/1001") }), "otherHistory")
    assert.strictEqual(journal({ epoch: 3 }), "otherHistory")
  })

  it("is not disturbed by what an earlier epoch left behind", () => {
    assert.strictEqual(stateOf({ tail: { epoch: 1, commitLsn: Lsn.parse("9/0"), order: 1 } }), "ready")
    assert.strictEqual(journal({ epoch: 1, confirmed: Lsn.parse("9/0") }), "ready")
  })

  it("goes on with a promoted standby that has everything published, and not with one that lacks some", () => {
    const promoted = (left: string) => ({ timeline: 4, history: [{ timeline: 2, end: Lsn.parse("0/50") }, { timeline: 3, end: Lsn.parse(left) }] })
    assert.strictEqual(server(promoted("0/501")), "ready")
    assert.strictEqual(server(promoted("0/500")), "otherHistory")
    assert.strictEqual(server({ timeline: 4, history: [{ timeline: 2, end: Lsn.parse("0/900") }] }), "otherHistory")
    assert.strictEqual(server({ timeline: 2 }), "otherHistory")
  })

  it("reads a timeline's history as the server sends it", () => {
    assert.deepStrictEqual(parseHistory("1\t0/3000148\tno recovery target specified\n\n2\t1/A0\tbefore 2026-11-22\n"), [
      { timeline: 1, end: Lsn.parse("0/3000148") },
      { timeline: 2, end: Lsn.parse("1/A0") }
    ])
  })

  it("says what happened, to which thing, and the remedy", () => {
    const said = SlotState.describe(SlotState.judge({ ...good, slot: { ...good.slot!, invalidated: "wal_removed" } }), names)
    assert.match(said, /^Replication slot hub_cdc is invalidated \(wal_removed\).*max_slot_wal_keep_size.*cdc setup --resnapshot/)
    for (const [tag, { exitCode, remedy }] of Object.entries(SlotState.outcomes)) assert.strictEqual(exitCode === undefined, remedy === undefined, tag)
  })

  it("is documented: docs/slot-states.md is what test/fixtures/slot-states.ts prints", () => {
    assert.strictEqual(readFileSync(new URL("../../docs/slot-states.md", import.meta.url), "utf8"), slotStates())
  })
})
