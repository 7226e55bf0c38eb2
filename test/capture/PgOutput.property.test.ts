import fc from "fast-check"
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { DecodeError } from "../../src/capture/DecodeError.ts"
import { decode } from "../../src/capture/PgOutput.ts"
import type { WalMessage } from "../../src/capture/WalMessage.ts"
import { Lsn } from "../../src/domain/Lsn.ts"
import type { Tuple } from "../../src/domain/RowChange.ts"
import { textsOf, withTexts } from "./Texts.ts"

/** An encoder of the protocol, written from its manual page and not from our decoder. */
const int = (bytes: number, value: bigint | number): Buffer => {
  const buffer = Buffer.alloc(8)
  buffer.writeBigInt64BE(BigInt.asIntN(64, BigInt(value)))
  return buffer.subarray(8 - bytes)
}
const text = (value: string): Buffer => Buffer.from(`${value}\0`)
const tuple = (row: Tuple): Buffer =>
  Buffer.concat([
    int(2, row.length),
    ...textsOf(row).flatMap((column) => {
      if (column === null) return [Buffer.from("n")]
      if (column === undefined) return [Buffer.from("u")]
      return [Buffer.from("t"), int(4, Buffer.byteLength(column)), Buffer.from(column)]
    })
  ])
const micros = (value: bigint): Buffer => int(8, value - 946_684_800_000_000n)
const flags = (...set: ReadonlyArray<boolean>): Buffer => int(1, set.reduce((sum, on, bit) => sum + (on ? 1 << bit : 0), 0))
const tagged = (tag: string, ...parts: ReadonlyArray<Buffer>): Buffer => Buffer.concat([Buffer.from(tag), ...parts])

const encode = (message: WalMessage): Buffer => {
  switch (message._tag) {
    case "Begin": {
      const { commitLsn, commitMicros, xid } = message.transaction
      return tagged("B", int(8, commitLsn), micros(commitMicros), int(4, xid))
    }
    case "Commit":
      return tagged("C", int(1, 0), int(8, message.commitLsn), int(8, message.endLsn), micros(message.commitMicros))
    case "Relation":
      return tagged("R", int(4, message.oid), text(message.schema === "pg_catalog" ? "" : message.schema), text(message.table),
        Buffer.from(message.replicaIdentity), int(2, message.columns.length),
        ...message.columns.flatMap((column) => [
          flags(column.partOfIdentity), text(column.name), int(4, column.typeOid), int(4, column.typeModifier)
        ]))
    case "Insert":
      return tagged("I", int(4, message.relationOid), Buffer.from("N"), tuple(message.after))
    case "Update":
      return tagged("U", int(4, message.relationOid), ...old(message.before), Buffer.from("N"), tuple(message.after))
    case "Delete":
      return tagged("D", int(4, message.relationOid), ...old(message.before))
    case "Truncate":
      return tagged("T", int(4, message.relationOids.length), flags(message.cascade, message.restartIdentity),
        ...message.relationOids.map((oid) => int(4, oid)))
    case "Message":
      return tagged("M", flags(message.transactional), int(8, message.lsn), text(message.prefix), int(4, message.content.length), message.content)
    case "Type":
      return tagged("Y", int(4, message.oid), text(message.schema), text(message.name))
    case "Origin":
      return tagged("O", int(8, message.commitLsn), text(message.name))
  }
}

const old = (row: Extract<WalMessage, { _tag: "Delete" }>["before"] | undefined): ReadonlyArray<Buffer> => {
  if (row === undefined) return []
  return row.extent === "full"
    ? [Buffer.from("O"), tuple(row.tuple)]
    : [Buffer.from("K"), tuple(textsOf(row.tuple).map((column) => (column === undefined ? null : column)))]
}

const oid = fc.integer({ min: 0, max: 0xffffffff })
const lsn = fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map(Lsn)
const commitMicros = fc.bigInt({ min: 0n, max: 4_000_000_000_000_000n })
const name = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }).filter((value) => !value.includes("\0"))
const value = fc.oneof(fc.string({ unit: "grapheme", maxLength: 80 }), fc.string({ maxLength: 3000 }))
const row = fc.array(fc.oneof(value, fc.constant(null), fc.constant(undefined)), { maxLength: 20 })
const before = fc.oneof(
  fc.record({ extent: fc.constant("full" as const), tuple: row }),
  fc.record({ extent: fc.constant("key" as const), tuple: fc.array(fc.oneof(value, fc.constant(undefined)), { maxLength: 20 }) })
)
const message: fc.Arbitrary<WalMessage> = fc.oneof(
  fc.record({ _tag: fc.constant("Begin" as const), transaction: fc.record({ xid: oid, commitLsn: lsn, commitMicros }) }),
  fc.record({ _tag: fc.constant("Commit" as const), commitLsn: lsn, endLsn: lsn, commitMicros }),
  fc.record({
    _tag: fc.constant("Relation" as const), oid, schema: name, table: name,
    replicaIdentity: fc.constantFrom("d" as const, "n" as const, "f" as const, "i" as const),
    columns: fc.array(fc.record({ name, typeOid: oid, typeModifier: fc.integer(), partOfIdentity: fc.boolean() }))
  }),
  fc.record({ _tag: fc.constant("Insert" as const), relationOid: oid, after: row }),
  fc.record({ _tag: fc.constant("Update" as const), relationOid: oid, before: fc.option(before, { nil: undefined }), after: row }),
  fc.record({ _tag: fc.constant("Delete" as const), relationOid: oid, before }),
  fc.record({ _tag: fc.constant("Truncate" as const), relationOids: fc.array(oid), cascade: fc.boolean(), restartIdentity: fc.boolean() }),
  fc.record({
    _tag: fc.constant("Message" as const), transactional: fc.boolean(), lsn, prefix: name,
    content: fc.uint8Array().map((bytes) => Buffer.from(bytes))
  }),
  fc.record({ _tag: fc.constant("Type" as const), oid, schema: name, name }),
  fc.record({ _tag: fc.constant("Origin" as const), commitLsn: lsn, name })
)

const golden = ["15", "18"].flatMap((major) => {
  const file = new URL(`../fixtures/pgoutput/${major}.json`, import.meta.url)
  return (JSON.parse(readFileSync(file, "utf8")) as { frames: ReadonlyArray<string> }).frames.map((frame) => Buffer.from(frame, "base64"))
})

/** Whether `bytes` were a message; throws for any failure but a `DecodeError`. */
const isMessage = (bytes: Buffer): boolean => {
  try {
    withTexts(decode(bytes))
    return true
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return false
  }
}

describe("decode", () => {
  it("reads back every message", () => {
    fc.assert(fc.property(message, (written) => {
      expect(withTexts(decode(encode(written)))).toEqual(written)
    }), { numRuns: 1000 })
  })

  it("refuses every message that is too short or too long", () => {
    fc.assert(fc.property(fc.oneof(message.map(encode), fc.constantFrom(...golden)), fc.nat(), (bytes, cut) => {
      expect(isMessage(bytes.subarray(0, cut % bytes.length))).toBe(false)
      expect(isMessage(Buffer.concat([bytes, Buffer.from([0])]))).toBe(false)
    }))
  })

  it("takes any bytes for a message or refuses them, and does nothing else", () => {
    const tag = fc.constantFrom(..."BCRIUDTMYO").map((letter) => letter.charCodeAt(0))
    const tail = fc.uint8Array({ maxLength: 64 })
    fc.assert(fc.property(fc.oneof(tail, fc.tuple(tag, tail).map(([first, rest]) => Uint8Array.of(first, ...rest))), (bytes) => {
      isMessage(Buffer.from(bytes))
    }), { numRuns: 2000 })
  })

  it("survives any changed byte of a real message", () => {
    fc.assert(fc.property(fc.constantFrom(...golden), fc.nat(), fc.integer({ min: 0, max: 255 }), (frame, at, byte) => {
      const bytes = Buffer.from(frame)
      bytes[at % bytes.length] = byte
      isMessage(bytes)
    }), { numRuns: 2000 })
  })

  it("survives real messages cut, spliced and overwritten", () => {
    const part = fc.record({ frame: fc.constantFrom(...golden), from: fc.nat(), length: fc.nat(400) })
    const pieces = fc.array(fc.oneof(part, fc.uint8Array({ maxLength: 12 })), { minLength: 1, maxLength: 5 })
    const first = fc.constantFrom(...golden)
    fc.assert(fc.property(first, fc.nat(), pieces, (frame, cut, rest) => {
      const bytes = rest.map((piece) =>
        piece instanceof Uint8Array ? piece : piece.frame.subarray(piece.from % piece.frame.length, piece.from % piece.frame.length + piece.length))
      isMessage(Buffer.concat([frame.subarray(0, cut % (frame.length + 1)), ...bytes]))
    }), { numRuns: 2000 })
  })

  it("reads no further than a message goes, whatever length it claims", () => {
    const claims: ReadonlyArray<Buffer> = [
      tagged("T", int(4, 0xffffffff), flags()), // tables
      tagged("R", int(4, 1), text("s"), text("t"), Buffer.from("d"), int(2, 0xffff)), // columns
      tagged("I", int(4, 1), Buffer.from("N"), int(2, 0xffff)), // values
      tagged("I", int(4, 1), Buffer.from("N"), int(2, 1), Buffer.from("t"), int(4, 0xffffffff)), // bytes of a value
      tagged("M", flags(), int(8, 1), text("p"), int(4, 0xffffffff)) // bytes of a message
    ]
    for (const bytes of claims) expect(isMessage(bytes)).toBe(false)
  })

  it("says where it stopped, and nothing of what it read", () => {
    const bytes = encode({ _tag: "Insert", relationOid: 1, after: ["secret"] })
    expect(() => decode(bytes.subarray(0, -1))).toThrow(/6 bytes expected, 5 left at byte 13/)
    expect(() => decode(Buffer.from("S"))).toThrow(/tag 83/)
  })
})
