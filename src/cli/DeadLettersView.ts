import type { LetterCount, ListedLetter } from "../run/DeadLetterList.ts"
import type { RetryReport } from "../run/DeadLetterRetry.ts"
import { right, textTable } from "./TextTable.ts"

/** Counts per pipeline and reason, then the letters, for a person. Keys are identifiers; no value of a row is among it. */
export const render = ({ counts, letters }: { readonly counts: ReadonlyArray<LetterCount>; readonly letters: ReadonlyArray<ListedLetter> }): string => {
  if (counts.length === 0) return "no dead letters"
  const total = counts.reduce((sum, { applied, open, superseded }) => sum + applied + open + superseded, 0)
  const summary = textTable(
    ["pipeline", "reason", ...["open", "suspect rows", "applied", "superseded"].map(right)],
    counts.map(({ applied, open, pipeline, reason, superseded, suspectRows }) => [pipeline, reason, ...[open, suspectRows, applied, superseded].map(String)])
  )
  const details = textTable(
    ["pipeline", "topic", right("partition"), right("offset"), "key", "reason", "state", "when", "message"],
    letters.map((letter) => [
      letter.pipeline, letter.topic, String(letter.partition), String(letter.offset), letter.key ?? "-", letter.reason,
      letter.isSuspect ? `${letter.resolution}, suspect` : letter.resolution, letter.setAsideAt.slice(0, 19), letter.message
    ])
  )
  const more = total > letters.length ? [`${total - letters.length} more; --limit shows them`] : []
  return [summary, details, ...more].join("\n\n")
}

/** What a retry came to, for a person. */
export const renderRetry = ({ applied, closed, missing, stillBad }: RetryReport): string => {
  if (applied + closed + missing + stillBad.length === 0) return "nothing to retry: none of its dead letters is open and matches"
  const lines = [`${applied} applied`]
  if (closed > 0) lines.push(`${closed} void meanwhile: a later change of the row was applied, or another retry was faster`)
  for (const ofReason of Map.groupBy(stillBad, ({ reason }) => reason).values()) {
    lines.push(`${ofReason.length} still open, ${ofReason[0]!.reason}: ${ofReason[0]!.message}`)
  }
  if (missing > 0) lines.push(`${missing} still open and no longer kept by Kafka: \`cdc snapshot TABLE\` reads their rows again`)
  return lines.join("\n")
}
