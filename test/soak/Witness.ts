import type { OwnDatabase } from "../support/TestDatabase.ts"

/** How often each kind of change happened; a change of key apart, because it becomes two records. */
export interface Counts {
  inserts: number
  updates: number
  moves: number
  deletes: number
  truncates: number
}

/** By `<xid> <schema>.<table>`: what a transaction did to a table. */
export type Deeds = Map<string, Counts>

export const noCounts = (): Counts => ({ inserts: 0, updates: 0, moves: 0, deletes: 0, truncates: 0 })

/**
 * What really happened in the database, told by somebody else than the product: a slot of its own with the server's
 * `test_decoding`. Whoever was killed meanwhile, every commit is in it once.
 */
export interface Witness {
  readonly deeds: Deeds
  /** Where each transaction ends, by xid. */
  readonly ends: ReadonlyMap<number, bigint>
  /** Takes down what has committed since the last call; throws while the database is away, and misses nothing by it. */
  readonly listen: () => Promise<void>
}

export const call = async (database: Pick<OwnDatabase, "query">, slot: string): Promise<Witness> => {
  await database.query("select pg_create_logical_replication_slot($1, 'test_decoding')", [slot])
  const deeds: Deeds = new Map()
  const ends = new Map<number, bigint>()
  return { deeds, ends, listen: () => listen(database, slot, deeds, ends) }
}

/**
 * Peeks, notes, and only then lets the server forget: an answer that is lost on its way is given again. Up to where the WAL ends now, since
 * on a busy machine there is always some more.
 */
const listen = async (database: Pick<OwnDatabase, "query">, slot: string, deeds: Deeds, ends: Map<number, bigint>): Promise<void> => {
  const [{ end }] = await database.query<{ end: string }>("select (pg_current_wal_lsn() - '0/0')::text as end") as [{ readonly end: string }]
  for (;;) {
    const rows = await database.query<{ lsn: string; bytes: string; sender: string; said: string }>(
      `select lsn::text, (lsn - '0/0')::text as bytes, xid::text as sender, substr(data, 1, 300) as said
       from pg_logical_slot_peek_changes($1, null, 20000) where data ~ '^(COMMIT|table (outreach|outreach_ctx|cl|"bit")[.])'`, [slot])
    for (const { bytes, said, sender } of rows) {
      const xid = Number(sender)
      if (said.startsWith("COMMIT")) ends.set(xid, BigInt(bytes))
      else if (!ends.has(xid)) note(deeds, xid, said)
    }
    const last = rows.findLast(({ said }) => said.startsWith("COMMIT"))
    if (last === undefined) return
    await database.query("select pg_replication_slot_advance($1, $2::pg_lsn)", [slot, last.lsn])
    if (BigInt(last.bytes) >= BigInt(end)) return
  }
}

const kinds = { INSERT: "inserts", UPDATE: "updates", DELETE: "deletes", TRUNCATE: "truncates" } as const

const note = (deeds: Deeds, xid: number, said: string): void => {
  const match = /^table ([^:]+): (INSERT|UPDATE|DELETE|TRUNCATE):( old-key:)?/.exec(said)
  if (match === null) return
  const [, tables, verb, oldKey] = match
  for (const table of tables!.replaceAll("\"", "").split(", ")) { // `bit` is a keyword, and quoted
    const id = `${xid} ${table}`
    const counts = deeds.get(id) ?? noCounts()
    counts[oldKey === undefined ? kinds[verb as keyof typeof kinds] : "moves"]++
    deeds.set(id, counts)
  }
}
