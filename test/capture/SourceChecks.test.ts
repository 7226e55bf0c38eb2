import { describe, expect, it } from "vitest"
import { checkSource } from "../../src/capture/SourceChecks.ts"
import type { SourceFacts, TableFacts } from "../../src/capture/SourceFacts.ts"

const relation = { oid: 1, schema: "public", table: "people", replicaIdentity: "d" as const, sendsOldKey: true, key: [0], columns: [
  { name: "id", typeOid: 23, type: { name: "int4", kind: "base" as const, modifier: -1 } }
] }
const people: TableFacts = {
  name: "public.people", relation, identity: ["id"], isReadable: true, isOwned: true, hasRowFilter: false, hasColumnList: false,
  partitions: [], largeColumns: [], hasLargeValues: false, addedWithDefault: []
}

const healthy: SourceFacts = {
  host: "db.example",
  server: {
    system_identifier: "1", database: "hub", timeline: 1, wal_end: "0/1", version: 180_004, wal_level: "logical", max_slots: 10, slots: 3, may_replicate: true, role: "app"
  },
  walSenders: { used: 2, max: 10 },
  settings: new Map([["max_slot_wal_keep_size", 4_096], ["wal_sender_timeout", 60_000], ["idle_replication_slot_timeout", 0], ["statement_timeout", 0]]),
  slotName: "hub_cdc", mayCreate: true, closedSchema: undefined, slotExists: false, slotIsRead: false, publicationName: "hub_cdc", publication: undefined, frozenTables: [], tables: [people]
}
const expected = { walSenderTimeoutSeconds: 10, statusIntervalSeconds: 2 }

const found = (changed: Partial<SourceFacts>, expectations = expected) =>
  checkSource({ ...healthy, ...changed }, expectations).flatMap(({ findings, name }) => findings.map(({ severity }) => `${name}: ${severity}`))
const server = (changed: Partial<SourceFacts["server"]>) => ({ server: { ...healthy.server, ...changed } })
const settings = (name: string, value: number) => ({ settings: new Map([...healthy.settings, [name, value]]) })

describe("a source's checks", () => {
  it("find nothing on a source that is as it should be", () => {
    expect(found({})).toEqual([])
  })

  it.each<[string, Partial<SourceFacts>, ReadonlyArray<string>]>([
    ["a pooled endpoint", { host: "ep-cool-night-123-pooler.eu-central-1.aws.neon.tech" }, ["direct endpoint: error"]],
    ["Postgres 14", server({ version: 140_011 }), ["server version: error"]],
    ["Postgres 15", server({ version: 150_000 }), []],
    ["Postgres 19", server({ version: 190_000 }), ["server version: warning"]],
    ["wal_level replica", server({ wal_level: "replica" }), ["wal_level: error"]],
    ["a role that may not replicate", server({ may_replicate: false }), ["role: error"]],
    ["a role that may not use the state of who ran setup", { closedSchema: "cdc" }, ["role: error"]],
    ["a table that may not be read", { tables: [{ ...people, isReadable: false }] }, ["role: error"]],
    ["a role that may not create", { mayCreate: false }, ["role: error"]],
    ["a role that owns no table", { tables: [{ ...people, isOwned: false }] }, ["role: error"]],
    ["a role that needs no rights any more", { mayCreate: false, tables: [{ ...people, isOwned: false }], publication: publication() }, []],
    ["no slot left", server({ slots: 10 }), ["slots and walsenders: error"]],
    ["one slot left before the first snapshot, which needs another", server({ slots: 9 }), ["slots and walsenders: error"]],
    ["no slot left, but ours is there", { ...server({ slots: 10 }), slotExists: true, publication: publication() }, []],
    ["no walsender left", { walSenders: { used: 10, max: 10 } }, ["slots and walsenders: error"]],
    ["no walsender left, but ours has one", { walSenders: { used: 10, max: 10 }, slotExists: true, slotIsRead: true, publication: publication() }, []],
    ["one walsender left before the first snapshot", { walSenders: { used: 9, max: 10 } }, ["slots and walsenders: error"]],
    ["one walsender left for a slot that is there", { walSenders: { used: 9, max: 10 }, slotExists: true, publication: publication() }, []],
    ["WAL kept without limit", settings("max_slot_wal_keep_size", -1), ["WAL kept for the slot: advice"]],
    ["little WAL kept", settings("max_slot_wal_keep_size", 64), ["WAL kept for the slot: warning"]],
    ["a slot that is dropped when idle", settings("idle_replication_slot_timeout", 3_600_000), ["timeouts: warning"]],
    ["a short statement_timeout", settings("statement_timeout", 5_000), ["timeouts: warning"]],
    ["a long statement_timeout", settings("statement_timeout", 300_000), []],
    ["a table that is not there", { tables: [{ ...people, relation: undefined, isReadable: false }] }, ["tables: error"]],
    ["a slot without its publication", { slotExists: true }, ["publication: error"]],
    ["values out of line under DEFAULT", { tables: [{ ...people, largeColumns: ["bio"], hasLargeValues: true }] }, ["large values: warning"]],
    ["values out of line under FULL", { tables: [{ ...people, relation: { ...relation, replicaIdentity: "f" }, largeColumns: ["bio"], hasLargeValues: true }] }, []]
  ])("tell of %s", (_, changed, findings) => {
    expect(found(changed)).toEqual(findings)
  })

  it.each([
    ["has a key", { ...people, identity: [] }, "ALTER TABLE public.people REPLICA IDENTITY DEFAULT (its primary key)"],
    ["has no key", { ...people, identity: [], relation: { ...relation, key: [] } }, "give it a primary key, or ALTER TABLE public.people REPLICA IDENTITY FULL"]
  ])("name what helps a table without a replica identity that %s", (_, table, remedy) => {
    const findings = checkSource({ ...healthy, tables: [table] }, expected).flatMap(({ findings }) => findings)
    expect(findings.map((finding) => finding.remedy)).toEqual([remedy])
  })

  it.each([[false, "`cdc setup`"], [true, "`cdc setup --resnapshot`"]])("tell of partitions published as themselves, the slot being there: %s", (slotExists, remedy) => {
    const partitioned = (viaRoot: boolean) => checkSource({ ...healthy, slotExists, tables: [{ ...people, partitions: [{ name: "public.people_1", isFull: false, identity: ["id"] }] }],
      publication: { ...publication(), viaRoot, tables: new Set(viaRoot ? ["public.people"] : ["public.people_1"]) } }, expected).flatMap(({ findings }) => findings)
    expect(partitioned(true)).toEqual([])
    expect(partitioned(false).filter(({ severity }) => severity === "error").map((finding) => finding.remedy)).toEqual([`${remedy} alters it`])
  })

  it.each([[3_000, "is 3 s:"], [3_600_000, "is 60 min:"]])("say how long a slot may stay idle: %i ms", (timeout, said) => {
    const findings = checkSource({ ...healthy, ...settings("idle_replication_slot_timeout", timeout) }, expected).flatMap(({ findings }) => findings)
    expect(findings.map(({ problem }) => problem.slice(0, said.length))).toEqual([said])
  })

  it("tell of a server that would hang up before it is answered", () => {
    expect(found({}, { walSenderTimeoutSeconds: 3, statusIntervalSeconds: 2 })).toEqual(["timeouts: error"])
  })

  it("go by each partition's own replica identity, which is what Postgres goes by", () => {
    const partition = (name: string, isFull: boolean, ...identity: ReadonlyArray<string>) => ({ name: `public.${name}`, isFull, identity })
    const parted = (identity: "d" | "f", ...partitions: TableFacts["partitions"]): ReadonlyArray<string> =>
      checkSource({ ...healthy, tables: [{ ...people, relation: { ...relation, replicaIdentity: identity }, partitions, largeColumns: ["bio"] }] }, expected)
        .flatMap(({ findings, name }) => findings.map(({ severity, thing }) => `${name}: ${severity}: ${thing}`))
    expect(parted("f", partition("p1", true), partition("p2", true))).toEqual([])
    expect(parted("f", partition("p1", true), partition("p2", false, "id"))).toEqual(
      ["replica identity: warning: Table public.people", "large values: advice: Table public.people"])
    expect(parted("f", partition("p1", false, "id"), partition("p2", false, "id"))).toEqual(
      ["replica identity: warning: Table public.people", "large values: advice: Table public.people"])
    expect(parted("d", partition("p1", false, "id"), partition("p2", false, "code"))).toEqual(
      ["replica identity: error: Partition public.p2", "large values: advice: Table public.people"])
  })

  it("name a remedy for everything", () => {
    const everything: SourceFacts = {
      ...healthy, ...server({ version: 140_000, wal_level: "minimal", may_replicate: false, slots: 10 }), host: "x-pooler.y", walSenders: { used: 10, max: 10 },
      settings: new Map([["max_slot_wal_keep_size", 1], ["idle_replication_slot_timeout", 1], ["statement_timeout", 1]]), frozenTables: ["public.stranger"],
      tables: [{ ...people, isReadable: false, identity: [], partitions: [{ name: "public.people_1", isFull: false, identity: [] }], addedWithDefault: ["late"], hasRowFilter: true, hasColumnList: true, largeColumns: ["bio"] }],
      publication: { ...publication(), missingOperations: ["delete"], tables: new Set() }
    }
    const findings = checkSource(everything, { walSenderTimeoutSeconds: 1, statusIntervalSeconds: 2 }).flatMap((check) => check.findings)
    expect(findings.length).toBeGreaterThan(16)
    for (const { problem, remedy, thing } of findings) {
      expect(thing).toMatch(/^\S.*\S$/)
      expect(problem).toMatch(/^[a-z]/)
      expect(remedy.length).toBeGreaterThan(5)
    }
  })
})

function publication() {
  return { oid: 1, xmin: "1", owner: 10, missingOperations: [], allTables: false, generatedColumns: true, viaRoot: true, partialTables: new Set<string>(), tables: new Set(["public.people"]) }
}
