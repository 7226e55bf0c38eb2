import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Catalogue } from "../../src/capture/Catalogue.ts"
import { ChangeReader } from "../../src/capture/ChangeReader.ts"
import type { WalMessage, WalRelation } from "../../src/capture/WalMessage.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import type { Relation } from "../../src/domain/RowChange.ts"

const announced = (oid: number, table: string): WalRelation => ({
  _tag: "Relation", oid, schema: "public", table, replicaIdentity: "d",
  columns: [{ name: "id", typeOid: 23, typeModifier: -1, partOfIdentity: true }]
})

/** Completes every relation without a database, and knows none beforehand. */
const catalogue: Catalogue = {
  resolve: (message) => Effect.succeed<Relation>({
    ...message, sendsOldKey: true, key: [0], columns: [{ name: "id", typeOid: 23, type: { name: "int4", kind: "base", modifier: -1 } }]
  }),
  announce: () => Effect.undefined
}

const begin: WalMessage = { _tag: "Begin", transaction: { xid: 7, commitLsn: Lsn(100n), commitMicros: 0n } }
const commit: WalMessage = { _tag: "Commit", commitLsn: Lsn(100n), endLsn: Lsn(120n), commitMicros: 0n }
const insert = (relationOid: number): WalMessage => ({ _tag: "Insert", relationOid, after: ["1"] })
const move = (relationOid: number, from: string): WalMessage =>
  ({ _tag: "Update", relationOid, before: { extent: "key", tuple: [from] }, after: ["9"] })

const read = (messages: ReadonlyArray<WalMessage>, selected: ReadonlyArray<string>) =>
  new ChangeReader(catalogue, ({ table }) => selected.includes(table)).read(messages)

describe("ordinals", () => {
  const messages = [
    begin, announced(1, "a"), announced(2, "b"), insert(1), insert(2), move(1, "8"), insert(1),
    { _tag: "Truncate", relationOids: [2, 1], cascade: false, restartIdentity: false }, insert(2), commit
  ] satisfies ReadonlyArray<WalMessage>

  it.effect("count a moved key as two and a truncation as one per table", () =>
    Effect.gen(function*() {
      const { changes, lastCommit } = yield* read(messages, ["a", "b"])
      assert.deepStrictEqual(changes.map(({ collectionOrder, kind, order, relation }) => [relation.table, kind, order, collectionOrder]), [
        ["a", "insert", 1, 1], ["b", "insert", 2, 1], ["a", "update", 3, 2], ["a", "insert", 5, 4],
        ["b", "truncate", 6, 2], ["a", "truncate", 7, 5], ["b", "insert", 8, 3]
      ])
      assert.strictEqual(lastCommit?.endLsn, Lsn(120n))
    }))

  it.effect("are the same whichever tables are selected", () =>
    Effect.gen(function*() {
      const all = yield* read(messages, ["a", "b"])
      const some = yield* read(messages, ["b"])
      assert.deepStrictEqual(some.changes, all.changes.filter(({ relation }) => relation.table === "b"))
    }))

  it.effect("do not count an update whose old key only came along", () =>
    Effect.gen(function*() {
      const { changes } = yield* read([begin, announced(1, "a"), move(1, "9"), insert(1), commit], ["a"])
      assert.deepStrictEqual(changes.map(({ order }) => order), [1, 2])
    }))

  it.effect("go on across batches that cut a transaction", () =>
    Effect.gen(function*() {
      const reader = new ChangeReader(catalogue, () => true)
      yield* reader.read([begin, announced(1, "a"), insert(1)])
      const { changes } = yield* reader.read([insert(1), commit])
      assert.deepStrictEqual(changes.map(({ order }) => order), [2])
    }))

  it.effect("messages of ours stand in their place among the changes, others' are left out, and none counts", () =>
    Effect.gen(function*() {
      const said = (prefix: string, lsn: bigint): WalMessage => ({ _tag: "Message", transactional: false, lsn: Lsn(lsn), prefix, content: Buffer.from("x") })
      const { changes, marks } = yield* read(
        [said("cdc.a", 90n), begin, announced(1, "a"), insert(1), said("cdc.b", 95n), said("theirs", 96n), insert(1), commit, said("cdc.c", 130n)], ["a"])
      assert.deepStrictEqual(changes.map(({ order }) => order), [1, 2])
      assert.deepStrictEqual(marks.map(({ changesBefore, content, lsn, prefix, transactionsBefore }) => [prefix, content, lsn, changesBefore, transactionsBefore]), [
        ["cdc.a", "x", Lsn(90n), 0, 0], ["cdc.b", "x", Lsn(95n), 1, 1], ["cdc.c", "x", Lsn(130n), 2, 1]
      ])
    }))

  it.effect("a row with other columns than its relation's stops the stream", () =>
    Effect.gen(function*() {
      const rows: ReadonlyArray<WalMessage> = [
        { _tag: "Insert", relationOid: 1, after: ["1", "2"] },
        { _tag: "Update", relationOid: 1, before: { extent: "full", tuple: [] }, after: ["1"] },
        { _tag: "Delete", relationOid: 1, before: { extent: "key", tuple: ["1", undefined] } }
      ]
      for (const row of rows) {
        const error = yield* Effect.flip(read([begin, announced(1, "a"), row], ["a"]))
        assert.strictEqual("reason" in error && error.reason, "undecodable")
      }
    }))

  it.effect("a row of a relation that was never announced stops the stream", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(read([begin, insert(5)], []))
      assert.strictEqual("reason" in error && error.reason, "undecodable")
    }))
})
