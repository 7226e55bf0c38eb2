import { Effect } from "effect"
import { Postgres, type Sql } from "../connections/Postgres.ts"
import { PostgresError } from "../connections/PostgresError.ts"
import type { Oracle } from "../domain/Oracle.ts"
import { quoteIdentifier } from "../domain/SqlIdentifier.ts"

/** One cell that is not what the base tables say; values as Postgres prints them, in UTC. */
export interface Difference {
  readonly key: string
  readonly column: string
  readonly stored: string | null
  readonly expected: string | null
}

export interface TargetVerdict {
  readonly pipeline: string
  readonly target: string
  /** Keys that were judged (of those that were asked for), and rows that no source backs and no pipeline ever wrote. */
  readonly compared: number
  readonly unmanaged: number
  /** Values that time alone has moved beyond the bound since they were written; null where time changes nothing. */
  readonly drifted: number | null
  readonly differences: ReadonlyArray<Difference>
  /** Keys that differ, but not each time in the same way: writers were busier than the comparison. */
  readonly unsettled: ReadonlyArray<string>
  /** False if there were more differences than `maxDifferences`; these are the first by key. */
  readonly complete: boolean
}

export interface Verdict {
  readonly equal: boolean
  /** How often the base tables were compared: once if nothing differed. */
  readonly rounds: number
  /** False if the pipelines did not apply all earlier changes in time; it was not looked again, and differences may be changes on their way. */
  readonly applied: boolean
  readonly targets: ReadonlyArray<TargetVerdict>
}

export interface Options<E, R> {
  readonly oracles: ReadonlyArray<Oracle>
  /** Business settings by pipeline, as `AppConfig.pipelineSettings`. */
  readonly settings: Readonly<Record<string, unknown>>
  readonly stateSchema: string
  /** Waits until everything committed before the call has been applied; false if that took longer. */
  readonly waitUntilApplied: (timeoutMillis: number) => Effect.Effect<boolean, E, R>
  readonly waitMillis?: number
  /** Only these, as the verdict names them; absent: all keys. */
  readonly keys?: ReadonlyArray<string>
  /** Per target; what bounds the memory. */
  readonly maxDifferences?: number
}

const maxRounds = 6
/** Looks in a row that must agree. Two don't do: a busy counter goes up and down, and comes by the same pair of values again. */
const looksToBeSure = 3

/**
 * Compares the aggregates with their oracles, also while writes go on: all in one snapshot, then again what differed,
 * each time after the pipelines have applied what was committed before. What stays different in the same way is a difference.
 */
export const verify = Effect.fn("Verify.verify")(function*<E, R>(options: Options<E, R>) {
  const questions = options.oracles.map((oracle): Question => ({
    oracle,
    settings: JSON.stringify(options.settings[oracle.pipeline] ?? {}),
    limit: options.maxDifferences ?? 1_000
  }))
  yield* requireState(options.stateSchema)
  const first = yield* inSnapshot(options.stateSchema, (sql) =>
    Effect.forEach(questions, (question) =>
      Effect.all({ found: compare(sql, question, options.keys === undefined ? everything : suspected(options.keys, question.oracle)), counts: count(sql, question, options.keys) })))

  let looks: ReadonlyArray<ReadonlyArray<Found>> = first.map(({ found }) => [found]) // per target, the latest ones
  let rounds = 1
  let applied = true
  while (rounds < maxRounds && looks.some((ofTarget) => ofTarget.at(-1)!.differences.length > 0)) {
    applied = yield* options.waitUntilApplied(options.waitMillis ?? 10_000)
    const now = yield* inSnapshot(options.stateSchema, (sql) =>
      Effect.forEach(questions, (question, n) => compare(sql, question, looks[n]!.at(-1)!)))
    looks = looks.map((ofTarget, n) => [...ofTarget, now[n]!].slice(-looksToBeSure))
    rounds++
    if (!applied || (rounds >= looksToBeSure && looks.every((ofTarget) => judge(ofTarget).unsettled.length === 0))) break
  }

  const targets = questions.map(({ oracle: { pipeline, target } }, n): TargetVerdict => ({
    pipeline,
    target,
    ...first[n]!.counts,
    ...judge(looks[n]!),
    complete: looks[n]!.at(-1)!.complete
  }))
  const equal = targets.every(({ complete, differences }) => complete && differences.length === 0)
  return { equal, rounds, applied, targets } satisfies Verdict
})

/** What looks in a row say: the same cell in all of them is a difference; a key without any is still moving. */
export const judge = (
  looks: ReadonlyArray<{ readonly differences: ReadonlyArray<Difference> }>
): Pick<TargetVerdict, "differences" | "unsettled"> => {
  const last = looks.at(-1)?.differences ?? []
  const earlier = looks.slice(0, -1).map(({ differences }) => new Set(differences.map(fingerprint)))
  const differences = last.filter((difference) => earlier.every((cells) => cells.has(fingerprint(difference))))
  const certain = new Set(differences.map(({ key }) => key))
  return { differences, unsettled: [...new Set(last.map(({ key }) => key))].filter((key) => !certain.has(key)) }
}

const fingerprint = ({ column, expected, key, stored }: Difference): string => JSON.stringify([key, column, stored, expected])

interface Question {
  readonly oracle: Oracle
  readonly settings: string
  readonly limit: number
}

/** What differed at one moment; not `complete`: there was more than the limit. */
interface Found {
  readonly differences: ReadonlyArray<Difference>
  readonly complete: boolean
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const everything: Found = { differences: [], complete: false }
const isKeyOf = ({ keyType }: Oracle, key: string): boolean => keyType === "text" || uuid.test(key)

/** As if these keys had differed: they are looked at, and no other. */
const suspected = (keys: ReadonlyArray<string>, oracle: Oracle): Found =>
  ({ differences: keys.filter((key) => isKeyOf(oracle, key)).map((key) => ({ key, column: "", stored: null, expected: null })), complete: true })

const isEqual = ({ complete, differences }: Found): boolean => complete && differences.length === 0

/** Looks at the keys that differed before; at all keys if none are known, or (there were too many to list) none of those is left. */
const compare = Effect.fnUntraced(function*(sql: Sql, question: Question, before: Found): Effect.fn.Return<Found, PostgresError> {
  const { limit, oracle, settings } = question
  if (isEqual(before)) return before
  const keys = before.differences.length > 0 ? [...new Set(before.differences.map(({ key }) => key))] : null
  const differences = yield* sql.query<Difference>(
    `Comparing ${oracle.target} with the base tables`,
    `select key, "column", stored, expected from (${oracle.sql}\n) as difference order by key, "column" limit $3`,
    [keys, settings, limit + 1]
  )
  const isAll = keys === null || before.complete
  if (!isAll && differences.length === 0) return yield* compare(sql, question, everything)
  return { differences: differences.slice(0, limit), complete: isAll && differences.length <= limit }
})

/** Keys that no target has, and none ever had: mistyped, or of another hub. */
export const unknownKeys = Effect.fnUntraced(function*<E, R>({ keys = [], oracles, settings, stateSchema }: Options<E, R>) {
  yield* requireState(stateSchema)
  return yield* inSnapshot(stateSchema, Effect.fnUntraced(function*(sql) {
    const known = Effect.fnUntraced(function*(keys: ReadonlyArray<string>) {
      let rows = 0
      for (const oracle of oracles) {
        const { compared, unmanaged } = yield* count(sql, { oracle, settings: JSON.stringify(settings[oracle.pipeline] ?? {}), limit: 0 }, keys)
        rows += compared + unmanaged
      }
      return rows
    })
    const distinct = [...new Set(keys)]
    // No two targets have a key in common, so that one look does where all is well.
    if ((yield* known(distinct)) >= distinct.length) return []
    return yield* Effect.filter(distinct, (key) => Effect.map(known([key]), (rows) => rows === 0))
  }))
})

const count = Effect.fnUntraced(function*(sql: Sql, { oracle, settings }: Question, keys: ReadonlyArray<string> | undefined) {
  const doing = `Counting what is compared of ${oracle.target}`
  const parameters = [keys?.filter((key) => isKeyOf(oracle, key)) ?? null, settings]
  const [counts] = yield* sql.query<{ compared: bigint; unmanaged: bigint }>(doing, oracle.unmanagedSql, parameters)
  const drift = oracle.driftSql === undefined ? [] : yield* sql.query<{ drifted: bigint }>(doing, oracle.driftSql, parameters)
  return {
    compared: Number(counts!.compared),
    unmanaged: Number(counts!.unmanaged),
    drifted: drift[0] === undefined ? null : Number(drift[0].drifted)
  }
})

/** One consistent view for all targets; times print in UTC whatever the role's settings. */
const inSnapshot = Effect.fnUntraced(function*<A, E, R>(stateSchema: string, read: (sql: Sql) => Effect.Effect<A, E, R>) {
  const postgres = yield* Postgres
  return yield* postgres.transaction((sql) =>
    sql.query("Opening a snapshot", "set transaction isolation level repeatable read, read only").pipe(
      Effect.andThen(sql.query(
        "Preparing the comparison",
        "select set_config('search_path', $1, true), set_config('timezone', 'UTC', true), set_config('datestyle', 'ISO', true)",
        [quoteIdentifier(stateSchema)]
      )),
      Effect.andThen(read(sql))
    )
  )
})

const requireState = Effect.fnUntraced(function*(stateSchema: string) {
  const postgres = yield* Postgres
  const name = quoteIdentifier(stateSchema)
  const [state] = yield* postgres.query<{ found: boolean }>(
    "Looking for the pipelines' state",
    "select to_regclass($1) is not null and to_regclass($2) is not null as found",
    [`${name}.managed`, `${name}.surrogates`]
  )
  if (state!.found) return
  return yield* new PostgresError({
    reason: "refused",
    code: "42P01",
    message: `The pipelines' state is not in schema ${stateSchema}: run \`cdc setup\` first, with the same configuration`
  })
})
