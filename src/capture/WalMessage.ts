import type { Lsn } from "../domain/Lsn.ts"
import type { OldRow, Tuple } from "../domain/RowChange.ts"
import type { Transaction } from "../domain/Transaction.ts"

/** A column as pgoutput announces it. What `Relation` adds (types by name, the key's order) comes from the catalogue. */
export interface WalColumn {
  readonly name: string
  readonly typeOid: number
  /** `atttypmod`, −1 if there is none. */
  readonly typeModifier: number
  /** Part of the replica identity; under FULL every column is. */
  readonly partOfIdentity: boolean
}

/**
 * One message of the `pgoutput` plugin, protocol version 1, owning its memory: nothing in it points into the socket's buffer.
 * Rows name their relation by OID, as announced by the last `Relation` message with that OID.
 * Source: https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
 */
export type WalMessage =
  | { readonly _tag: "Begin"; readonly transaction: Transaction }
  | {
    readonly _tag: "Commit"
    /** Where the commit record starts: the same as the `Begin`'s. */
    readonly commitLsn: Lsn
    /** Where the next record starts: what is to be confirmed once the transaction is safe. */
    readonly endLsn: Lsn
    readonly commitMicros: bigint
  }
  | WalRelation
  | { readonly _tag: "Insert"; readonly relationOid: number; readonly after: Tuple }
  | { readonly _tag: "Update"; readonly relationOid: number; readonly before: OldRow | undefined; readonly after: Tuple }
  | { readonly _tag: "Delete"; readonly relationOid: number; readonly before: OldRow }
  | {
    readonly _tag: "Truncate"
    readonly relationOids: ReadonlyArray<number>
    readonly cascade: boolean
    readonly restartIdentity: boolean
  }
  | {
    /** Of `pg_logical_emit_message`. `lsn` of a non-transactional one is the end of its record (seen equal to a following commit's). */
    readonly _tag: "Message"
    readonly transactional: boolean
    readonly lsn: Lsn
    readonly prefix: string
    readonly content: Buffer
  }
  /** Announces a type that is not built in; the catalogue knows more. */
  | { readonly _tag: "Type"; readonly oid: number; readonly schema: string; readonly name: string }
  /** The transaction came to this server by replication from elsewhere. */
  | { readonly _tag: "Origin"; readonly commitLsn: Lsn; readonly name: string }

export interface WalRelation {
  readonly _tag: "Relation"
  readonly oid: number
  /** `pg_catalog` where the protocol sends it empty. */
  readonly schema: string
  readonly table: string
  /** `pg_class.relreplident`: DEFAULT, NOTHING, FULL, USING INDEX. */
  readonly replicaIdentity: "d" | "n" | "f" | "i"
  readonly columns: ReadonlyArray<WalColumn>
}
