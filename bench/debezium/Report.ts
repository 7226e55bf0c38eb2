import type { Comparison, Finding } from "./Comparison.ts"
import { show } from "./Json.ts"

export interface TopicComparison extends Comparison {
  readonly topic: string
  readonly partition: number
}

/** Prints what was compared, which rule was used how often, and every kind of difference that no rule explains; answers how many. */
export const print = (comparisons: ReadonlyArray<TopicComparison>): number => {
  const used = new Map<string, number>()
  for (const [rule, times] of comparisons.flatMap((comparison) => [...comparison.used])) used.set(rule, (used.get(rule) ?? 0) + times)
  const findings = comparisons.flatMap(({ findings, partition, topic }) => findings.map((finding) => ({ topic, partition, ...finding })))
  console.log("\nDifferent on purpose: Debezium's; ours")
  for (const [rule, times] of [...used].sort()) console.log(`${String(times).padStart(9)}  ${rule}`)
  console.log(`
topics       ${new Set(comparisons.map(({ topic }) => topic)).size}
partitions   ${comparisons.filter(({ events }) => events > 0).length} with events
events       ${comparisons.reduce((sum, { events }) => sum + events, 0)} compared
differences  ${findings.length}`)
  for (const [kind, found] of Map.groupBy(findings, kindOf)) {
    console.log(`\n${kind}, ${found.length} times:\n${found.slice(0, shownOfKind).map(describe).join("\n")}`)
  }
  return findings.length
}

const shownOfKind = 3
type Found = Finding & { readonly topic: string; readonly partition: number }

const kindOf = ({ path, topic, what }: Found): string => `${topic}: ${what} ${path.join(".")}`

const describe = ({ identity, index, ours, partition, path, theirs }: Found): string =>
  [`  partition ${partition}, event ${index} (${identity.slice(0, 100)})`, ...path.length === 0 && theirs === undefined ? [] : [`  Debezium  ${show(theirs)}`, `  ours      ${show(ours)}`]].join("\n")

