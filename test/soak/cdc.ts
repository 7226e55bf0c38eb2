import { Effect } from "effect"
import { launch, program } from "../../src/cli/Program.ts"
import { EvaluationClock } from "../../src/materialize/EvaluationClock.ts"

/**
 * The product, but for the clock by which rows are evaluated: the database's, set as the table `soak.clock` says. So all processes go by one
 * clock, however often they are started, and it jumps for all of them at once.
 */
launch(Effect.provideService(program, EvaluationClock, (sql) =>
  Effect.map(
    sql.query<{ now: bigint }>("Reading the soak's clock", "select (extract(epoch from clock_timestamp() + ahead) * 1000000)::bigint as now from soak.clock"),
    ([row]) => row!.now
  )))
