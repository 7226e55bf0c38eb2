import { Lsn } from "../src/domain/Lsn.ts"
import type { SourceChange } from "../src/domain/SourceChange.ts"
import * as TableName from "../src/domain/TableName.ts"
import * as TopicName from "../src/domain/TopicName.ts"
import type { ClaimedBatch } from "../src/materialize/Materializer.ts"

/** Changes of one table: the rows as a statement that inserts them into the hub, and as its topic has them. Row `n` belongs to key `keyOf(n)`. */
export interface ChangeSource {
  readonly pipeline: string
  readonly table: string
  /** $1: the first n, $2: the last, $3: the number of keys. */
  readonly insert: string
  readonly rowOf: (n: number, key: number) => Readonly<Record<string, unknown>>
}

/** Deterministic, but in no order that an index would like: rows come from `gen_random_uuid()` in life. */
export const uuidOf = (kind: number, n: number): string => {
  const mixed = (Math.imul(n, 0x9e3779b1) >>> 0).toString(16).padStart(8, "0")
  return `${mixed}-000${kind}-4000-8000-${n.toString(16).padStart(12, "0")}`
}

/** The same in SQL: odd multiples modulo 2³² are a permutation. */
const uuidSql = (kind: number, n: string): string =>
  `(lpad(to_hex((${n}::bigint * 2654435761) % 4294967296), 8, '0') || '-000${kind}-4000-8000-' || lpad(to_hex(${n}::bigint), 12, '0'))::uuid`

const kinds = { outreach: 1, signal: 2, campaign: 3, send: 4, person: 5, event: 6 } as const
const at = new Date(Date.now() - 86_400_000).toISOString().slice(0, 23)
const instantOf = (n: number): string => `${at}${String(n % 1000).padStart(3, "0")}Z`
const instantSql = (n: string): string => `('${at}' || lpad((${n} % 1000)::text, 3, '0') || 'Z')::timestamptz`

const company = uuidOf(9, 1)

/** What the rows refer to: one company, and as many outreaches and campaigns as there are keys. */
export const hubRows = (keys: number): ReadonlyArray<string> => [
  `insert into cl.company_identity (company_unique_id, company_name) values ('${company}', 'A company')`,
  `insert into outreach.outreach (outreach_id, sovereign_id) select ${uuidSql(kinds.outreach, "n")}, '${company}' from generate_series(0, ${keys - 1}) n`,
  `insert into outreach.campaigns (campaign_id, campaign_name) select ${uuidSql(kinds.campaign, "n")}, 'A campaign' from generate_series(0, ${keys - 1}) n`
]

const n = "n"
const key = "n % $3::int"

export const signals: ChangeSource = {
  pipeline: "bit-scores",
  table: "outreach.bit_signals",
  insert: `insert into outreach.bit_signals (signal_id, outreach_id, signal_type, signal_impact, source_spoke, correlation_id, signal_timestamp)
    select ${uuidSql(kinds.signal, n)}, ${uuidSql(kinds.outreach, key)}, 'email_open', 2.5, 'people', ${uuidSql(kinds.person, n)}, ${instantSql(n)}
    from generate_series($1::int, $2::int) n`,
  rowOf: (n, key) => ({
    signal_id: uuidOf(kinds.signal, n),
    outreach_id: uuidOf(kinds.outreach, key),
    signal_type: "email_open",
    signal_impact: "2.5",
    source_spoke: "people",
    correlation_id: uuidOf(kinds.person, n),
    decay_period_days: 90,
    signal_timestamp: instantOf(n)
  })
}

export const sends: ChangeSource = {
  pipeline: "campaign-totals",
  table: "outreach.send_log",
  insert: `insert into outreach.send_log (send_id, campaign_id, email_to, send_status, sent_at)
    select ${uuidSql(kinds.send, n)}, ${uuidSql(kinds.campaign, key)}, n || '@example.org', 'sent', ${instantSql(n)} from generate_series($1::int, $2::int) n`,
  rowOf: (n, key) => ({
    send_id: uuidOf(kinds.send, n),
    campaign_id: uuidOf(kinds.campaign, key),
    person_id: null,
    email_to: `${n}@example.org`,
    sent_at: instantOf(n),
    opened_at: null,
    clicked_at: null,
    replied_at: null
  })
}

/** Each makes a row of the mirror, too, whose metadata are copied from the source row. */
export const events: ChangeSource = {
  pipeline: "legacy-mirrors",
  table: "outreach.engagement_events",
  insert: `insert into outreach.engagement_events (event_id, outreach_id, company_unique_id, event_type, event_ts)
    select ${uuidSql(kinds.event, n)}, ${uuidSql(kinds.outreach, key)}, 'company ' || (${key}), 'email_reply', ${instantSql(n)} from generate_series($1::int, $2::int) n`,
  rowOf: (n, key) => ({
    event_id: uuidOf(kinds.event, n),
    person_id: null,
    outreach_id: uuidOf(kinds.outreach, key),
    company_unique_id: `company ${key}`,
    event_type: "email_reply",
    event_ts: instantOf(n),
    source_system: null,
    source_campaign_id: null,
    is_duplicate: false
  })
}

const keyKind: Readonly<Record<string, number>> = { [signals.table]: kinds.signal, [sends.table]: kinds.send, [events.table]: kinds.event }

export const topicOf = ({ table }: ChangeSource): string => TopicName.ofTable("bench", TableName.parse(table))

/** Where a batch begins. */
export interface Start {
  readonly partition: number
  readonly offset: number
}

/** The batch that inserts rows `from` to `to`, or deletes them. */
export const batchOf = (source: ChangeSource, { offset, partition }: Start, from: number, to: number, keys: number, kind: "upsert" | "delete"): ClaimedBatch => {
  const changes: Array<SourceChange> = []
  const topic = topicOf(source)
  for (let n = from; n < to; n++) {
    const at = offset + n - from
    const key = uuidOf(keyKind[source.table]!, n)
    const common = {
      record: { topic, partition, offset: BigInt(at), key: Buffer.from(key), value: null, headers: [] },
      position: { epoch: 1, commitLsn: Lsn(BigInt(at + 1)), order: 1 },
      commitMicros: Date.now() * 1000,
      xid: 0,
      key
    }
    changes.push(kind === "delete" ? { ...common, kind } : { ...common, kind, row: source.rowOf(n, n % keys), isRead: false, isNew: true })
  }
  return { topic, partition, fromOffset: BigInt(offset), nextOffset: BigInt(offset + to - from), changes, unreadable: [] }
}
