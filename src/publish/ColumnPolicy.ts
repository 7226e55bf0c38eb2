import { Redacted } from "effect"
import { hash as digest } from "node:crypto"
import type { Settings } from "../Config.ts"
import * as ColumnName from "../domain/ColumnName.ts"
import type { Relation } from "../domain/RowChange.ts"
import { EncodeError } from "./EncodeError.ts"
import { quote } from "./types/Text.ts"
import type { EncodeText } from "./types/TypeFamily.ts"

/** What is done to a column's values before they leave: left out, or written in another way. */
export type Treatment = "exclude" | EncodeText

/**
 * What the configuration (`columns`) says must not leave the house as it is. Asked once per relation, where its row encoder is
 * compiled: so snapshot reads, streamed rows, old images, re-reads and keys all pass the same place.
 */
export interface ColumnPolicy {
  /** By the relation's column; undefined: as it is. Throws an `EncodeError` where a key column would be cut or left out. */
  readonly treatmentsOf: (relation: Relation) => ReadonlyArray<Treatment | undefined>
}

export const make = ({ exclude, hash, hashSalt, truncate }: Settings["columns"]): ColumnPolicy => {
  const withSalt = saltedHash(Redacted.value(hashSalt))
  const hashed = new Map<string, Treatment>(hash.map((name) => [ColumnName.format(name), withSalt]))
  const lossy = new Map<string, Treatment>([
    ...exclude.map((name) => [ColumnName.format(name), "exclude"] as const),
    ...truncate.map((name) => [ColumnName.format(name), truncated(name.characters)] as const)
  ])
  return {
    treatmentsOf: (relation) => {
      const names = relation.columns.map(({ name }) => ColumnName.format({ ...relation, column: name }))
      const lost = relation.key.find((column) => lossy.has(names[column]!))
      if (lost !== undefined) throw new EncodeError(relation, keyNeeded(names[lost]!))
      return names.map((name) => lossy.get(name) ?? hashed.get(name))
    }
  }
}

/** Everything as it is. */
export const none: ColumnPolicy = { treatmentsOf: ({ columns }) => columns.map(() => undefined) }

/**
 * Debezium's `column.mask.hash.v2`: SHA-256 of the salt and then the value's text, both as UTF-8, in lower-case hex. One salt for
 * all columns, so that equal values stay equal from table to table. A short text can be guessed by who knows the salt.
 */
const saltedHash = (salt: string): EncodeText => (text) => `"${digest("sha256", salt + text, "hex")}"`

/** Characters are code points: half of a surrogate pair is none. */
const truncated = (characters: number): EncodeText => (text) => {
  if (text.length <= characters) return quote(text)
  let end = 0
  for (let taken = 0; taken < characters && end < text.length; taken++) end += text.codePointAt(end)! > 0xffff ? 2 : 1
  return quote(text.slice(0, end))
}

/** Why a key column can't be left out or cut: without it a row could not be told from another. */
const keyNeeded = (column: string): string =>
  `${column} is part of its table's key, and rows could not be told apart without it: take it off columns.exclude and columns.truncate, or hash it (columns.hash)`
