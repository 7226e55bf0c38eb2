import { Console, Effect } from "effect"
import { Command, Flag } from "effect/cli"
import type { Check, Finding } from "../domain/Finding.ts"
import * as Validate from "../run/Validate.ts"
import * as Connections from "./Connections.ts"
import { Findings } from "./ExitCode.ts"
import { enabled } from "./Parts.ts"

export const validate = Command.make(
  "validate",
  {
    json: Flag.Boolean("json").pipe(Flag.withDescription("For machines: .checks[].findings[], .errors, .warnings"), Flag.withDefault(false))
  },
  Effect.fnUntraced(function*({ json }) {
    const report = yield* Validate.validate(yield* enabled)
    const counts = count(report)
    const color = process.stdout.isTTY === true && process.env.NO_COLOR === undefined
    yield* Console.log(json ? JSON.stringify({ ...counts, ...report }, null, 2) : render(report, { color, columns: process.stdout.columns ?? 120 }))
    if (counts.errors + counts.warnings > 0) return yield* new Findings({ message: verdict(report) })
  }, Effect.provide(Connections.layer))
).pipe(
  Command.withShortDescription("Check everything that capture rests on, and change nothing"),
  Command.withDescription(
    "Check the source, the slot, the topics and the configuration before anything starts, or while it runs; changes nothing. Each finding names its "
      + "remedy. Exit code 1 if there are errors (setup or run would fail, or lose something) or warnings (it works, and will not always); advice alone is 0."
  ),
  Command.withExamples([
    { command: "cdc validate", description: "For people" },
    { command: "cdc validate --json | jq '.checks[] | select(.findings != [])'", description: "Only what was found" }
  ])
)

const of = (report: Validate.Report, severity: Finding["severity"]): number =>
  report.checks.flatMap(({ findings }) => findings).filter((finding) => finding.severity === severity).length

const count = (report: Validate.Report) => ({ errors: of(report, "error"), warnings: of(report, "warning"), advice: of(report, "advice") })

const verdict = (report: Validate.Report): string => {
  const { advice, errors, warnings } = count(report)
  const found = [plural(errors, "error"), plural(warnings, "warning"), advice === 0 ? "" : `${advice} ${advice === 1 ? "piece" : "pieces"} of advice`]
    .filter((text) => text !== "")
  return found.length === 0 ? "No findings." : `${found.join(", ")}.`
}

const plural = (count: number, noun: string): string => count === 0 ? "" : `${count} ${noun}${count === 1 ? "" : "s"}`

/** Of a check: the worst of its findings. */
const worst = ({ findings }: Check): Finding["severity"] | "fine" =>
  (["error", "warning", "advice"] as const).find((severity) => findings.some((finding) => finding.severity === severity)) ?? "fine"

const signs = { fine: "✓", advice: "·", warning: "!", error: "✗" } as const
const colors = { fine: "\u001b[32m", advice: "\u001b[36m", warning: "\u001b[33m", error: "\u001b[31m" } as const
const dim = "\u001b[2m"
const plain = "\u001b[0m"

/** A line per check, aligned, and below it what was found: the thing and what is wrong with it, then the remedy. */
export const render = (report: Validate.Report, { color, columns }: { readonly color: boolean; readonly columns: number }): string => {
  const paint = (code: string, text: string) => color ? `${code}${text}${plain}` : text
  const width = Math.max(...report.checks.map(({ name }) => name.length))
  const lines = report.checks.flatMap((check) => {
    const level = worst(check)
    const head = `${paint(colors[level], signs[level])} ${check.name.padEnd(width)}`
    if (level === "fine") return [`${head}  ${paint(dim, check.fine)}`]
    return [head.trimEnd(), ...check.findings.flatMap((finding) => [
      ...wrapped(`${finding.thing} ${finding.problem}`, `  ${signs[finding.severity]} `, columns).map((line) => paint(colors[finding.severity], line)),
      ...wrapped(finding.remedy, "    → ", columns)
    ])]
  })
  return [...lines, "", verdict(report)].join("\n")
}

/** In lines of at most `columns`, the first behind `lead`, the others as far in. */
const wrapped = (text: string, lead: string, columns: number): ReadonlyArray<string> => {
  const room = Math.max(40, Math.min(columns, 120) - lead.length)
  const lines: Array<string> = [""]
  for (const word of text.split(" ")) {
    const line = lines.at(-1)!
    if (line !== "" && line.length + 1 + word.length > room) lines.push(word)
    else lines[lines.length - 1] = line === "" ? word : `${line} ${word}`
  }
  return lines.map((line, index) => (index === 0 ? lead : " ".repeat(lead.length)) + line)
}
