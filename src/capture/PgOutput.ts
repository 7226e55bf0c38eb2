import { Lsn } from "../domain/Lsn.ts"
import type { OldRow, Tuple } from "../domain/RowChange.ts"
import { RowBytes } from "../domain/RowBytes.ts"
import { ByteReader } from "./ByteReader.ts"
import type { WalColumn, WalMessage, WalRelation } from "./WalMessage.ts"

/**
 * Decodes one message of `pgoutput`, protocol version 1, columns as text: the payload of one XLogData, after its header.
 * It lies in `bytes`, between `start` and `end`; rows are views of it, so that it must stay as it is.
 * Throws a `DecodeError` for anything that is not such a message, to its last byte.
 * Source: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 */
export const decode = (bytes: Buffer, start = 0, end = bytes.length): WalMessage => {
  const reader = new ByteReader(bytes, start, end)
  const message = decodeMessage(reader, reader.uint8())
  reader.end()
  return message
}

const decodeMessage = (reader: ByteReader, tag: number): WalMessage => {
  switch (tag) {
    case 0x49 /* I */:
      return decodeInsert(reader)
    case 0x55 /* U */:
      return decodeUpdate(reader)
    case 0x44 /* D */:
      return decodeDelete(reader)
    case 0x42 /* B */:
      return decodeBegin(reader)
    case 0x43 /* C */:
      return decodeCommit(reader)
    case 0x52 /* R */:
      return decodeRelation(reader)
    case 0x54 /* T */:
      return decodeTruncate(reader)
    case 0x4d /* M */:
      return decodeLogicalMessage(reader)
    case 0x59 /* Y */:
      return { _tag: "Type", oid: reader.uint32(), schema: reader.cString() || "pg_catalog", name: reader.cString() }
    case 0x4f /* O */:
      return { _tag: "Origin", commitLsn: decodeLsn(reader), name: reader.cString() }
    default:
      throw reader.fault(`no known message (tag ${tag})`)
  }
}

const decodeInsert = (reader: ByteReader): WalMessage => {
  const relationOid = reader.uint32()
  expectNewRow(reader, reader.uint8())
  return { _tag: "Insert", relationOid, after: decodeTuple(reader, null) }
}

const decodeUpdate = (reader: ByteReader): WalMessage => {
  const relationOid = reader.uint32()
  let marker = reader.uint8()
  let before: OldRow | undefined
  if (marker !== newRow) {
    before = decodeOldRow(reader, marker)
    marker = reader.uint8()
  }
  expectNewRow(reader, marker)
  return { _tag: "Update", relationOid, before, after: decodeTuple(reader, null) }
}

const decodeDelete = (reader: ByteReader): WalMessage => {
  const relationOid = reader.uint32()
  return { _tag: "Delete", relationOid, before: decodeOldRow(reader, reader.uint8()) }
}

const newRow = 0x4e /* N */
const oldKeyRow = 0x4b /* K */
const oldFullRow = 0x4f /* O */

const expectNewRow = (reader: ByteReader, marker: number): void => {
  if (marker !== newRow) throw reader.fault("no new row where one must be")
}

/**
 * A key-only old row has null in every column outside of the replica identity, and none inside: identity columns are
 * NOT NULL (primary key, or USING INDEX, which demands it). So null there means "not sent".
 */
const decodeOldRow = (reader: ByteReader, marker: number): OldRow => {
  if (marker === oldFullRow) return { extent: "full", tuple: decodeTuple(reader, null) }
  if (marker === oldKeyRow) return { extent: "key", tuple: decodeTuple(reader, undefined) }
  throw reader.fault("no old row where one must be")
}

const decodeTuple = (reader: ByteReader, missing: null | undefined): Tuple => {
  const columns = reader.uint16()
  const row = new RowBytes(reader.bytes, columns)
  for (let column = 0; column < columns; column++) {
    switch (reader.uint8()) {
      case 0x74 /* t: text */: {
        const start = reader.skip(reader.uint32())
        row.setText(column, start, reader.offset)
        break
      }
      case 0x6e /* n: null */:
        row.setMissing(column, missing)
        break
      case 0x75 /* u: unchanged TOAST */:
        row.setMissing(column, undefined)
        break
      default:
        throw reader.fault(`column ${column + 1} is neither text, null nor unchanged`)
    }
  }
  return row
}

const decodeBegin = (reader: ByteReader): WalMessage => {
  const commitLsn = decodeLsn(reader)
  const commitMicros = decodeMicros(reader)
  return { _tag: "Begin", transaction: { xid: reader.uint32(), commitLsn, commitMicros } }
}

const decodeCommit = (reader: ByteReader): WalMessage => {
  reader.uint8() // flags: none defined
  return { _tag: "Commit", commitLsn: decodeLsn(reader), endLsn: decodeLsn(reader), commitMicros: decodeMicros(reader) }
}

const decodeRelation = (reader: ByteReader): WalRelation => {
  const oid = reader.uint32()
  const schema = reader.cString() || "pg_catalog"
  const table = reader.cString()
  const replicaIdentity = decodeReplicaIdentity(reader)
  const count = reader.uint16()
  const columns: Array<WalColumn> = []
  for (let column = 0; column < count; column++) {
    const partOfIdentity = (reader.uint8() & 1) === 1
    columns.push({ name: reader.cString(), typeOid: reader.uint32(), typeModifier: reader.int32(), partOfIdentity })
  }
  return { _tag: "Relation", oid, schema, table, replicaIdentity, columns }
}

const decodeReplicaIdentity = (reader: ByteReader): WalRelation["replicaIdentity"] => {
  const letter = String.fromCharCode(reader.uint8())
  if (letter === "d" || letter === "n" || letter === "f" || letter === "i") return letter
  throw reader.fault("an unknown replica identity")
}

const decodeTruncate = (reader: ByteReader): WalMessage => {
  const count = reader.uint32()
  const options = reader.uint8()
  const relationOids: Array<number> = []
  for (let relation = 0; relation < count; relation++) relationOids.push(reader.uint32())
  return { _tag: "Truncate", relationOids, cascade: (options & 1) !== 0, restartIdentity: (options & 2) !== 0 }
}

const decodeLogicalMessage = (reader: ByteReader): WalMessage => {
  const transactional = (reader.uint8() & 1) === 1
  const lsn = decodeLsn(reader)
  const prefix = reader.cString()
  return { _tag: "Message", transactional, lsn, prefix, content: reader.view(reader.uint32()) }
}

const decodeLsn = (reader: ByteReader): Lsn => Lsn(reader.uint64())

/** Of a message, without decoding it. */
export const isBegin = (bytes: Buffer, start: number): boolean => bytes[start] === 0x42
export const isCommit = (bytes: Buffer, start: number): boolean => bytes[start] === 0x43

/** Postgres counts microseconds from 2000-01-01; we count from 1970-01-01. */
const decodeMicros = (reader: ByteReader): bigint => reader.int64() + 946_684_800_000_000n
