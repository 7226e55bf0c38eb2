import { contributionsOf, never, phaseEndsOf } from "./Contributions.ts"
import type { StoredEntry } from "./EntryStore.ts"
import type { GroupAccumulator } from "./GroupState.ts"
import type { Columns, Pipeline } from "./Pipeline.ts"

/**
 * The first instant (µs) from which on a column had the value that it has at `to`, if nothing but time has passed since `from`. Goes the
 * way that the clock went, from one instant that matters to the next: where an entry changes phase, and where the row itself asks to be
 * looked at (`nextAt`). `group` is as it was at `from`, and is used up; `due` are its entries that change phase meanwhile, as they were.
 */
export const crossingOf = (
  pipeline: Pipeline,
  group: GroupAccumulator,
  due: ReadonlyArray<StoredEntry>,
  column: string,
  from: bigint,
  to: bigint
): bigint => {
  const { render } = pipeline.groups[group.group]!
  let left = due.map((entry) => ({ entry, phase: entry.phase }))
  let now = from
  let { columns, nextAt } = render(group, now)
  let since = from
  for (let step = 0; now < to && step < maxSteps; step++) {
    const next = [nextAt ?? never, ...left.map(({ entry, phase }) => phaseEndsOf(pipeline, entry)[phase] ?? never)].reduce(min, to)
    now = next > now ? next : now + 1n
    left = left.map((held) => ({ ...held, phase: passTo(pipeline, group, held.entry, held.phase, now) }))
    const before: Columns[string] = columns[column] ?? null
    ;({ columns, nextAt } = render(group, now))
    if ((columns[column] ?? null) !== before) since = now
  }
  return now < to ? to : since
}

/** Years of daily refreshes; whatever asks to be looked at more often than that is told of as of now. */
const maxSteps = 10_000

const min = (a: bigint, b: bigint): bigint => (a < b ? a : b)

/** The entry's phase at `now`; what it contributed before is taken back, and what it contributes then is added. */
const passTo = (pipeline: Pipeline, group: GroupAccumulator, entry: StoredEntry, before: number, now: bigint): number => {
  const phase = phaseEndsOf(pipeline, entry).filter((end) => end <= now).length
  if (phase === before) return phase
  for (const contribution of contributionsOf(pipeline, entry, null, before)) group.takeBack(contribution)
  for (const contribution of contributionsOf(pipeline, entry, null, phase)) group.add(contribution)
  return phase
}
