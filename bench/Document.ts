import { existsSync, readFileSync, writeFileSync } from "node:fs"
import * as Chart from "./Chart.ts"
import { directory, type Result, type Row } from "./Report.ts"

const documents = ["docs/performance.md", "README.md"].map((path) => new URL(`../${path}`, import.meta.url))

const chart = new URL("../docs/performance.svg", import.meta.url)

/**
 * Puts what `bench/results` has between `<!-- bench NAME -->` and `<!-- end -->`, wherever that stands; `<!-- bench NAME mean -->`: the
 * mean of each arm's rounds. And draws the drain's.
 */
export const write = (): void => {
  for (const document of documents) {
    const text = readFileSync(document, "utf8")
    writeFileSync(document, text.replaceAll(/(<!-- bench (\w+)( mean)? -->\n)[^]*?(<!-- end -->)/g, (all, start: string, name: string, mean: string | undefined, end: string) => {
      const result = read(name)
      return result === undefined ? all : `${start}${section(mean === undefined ? result : { ...result, rows: meanOfRounds(result.rows) })}${end}`
    }))
  }
  const drain = read("drain")
  if (drain === undefined) return
  writeFileSync(chart, Chart.bars(meanOfRounds(drain.rows), {
    "rows/s": "Draining a backlog, rows/s (more is better)",
    "CPU µs/row": "CPU of the process, µs per row (less is better)",
    "peak RSS MB": "Peak resident memory, MB (less is better)"
  }))
}

/** A row per arm. */
const meanOfRounds = (rows: ReadonlyArray<Row>): ReadonlyArray<Row> =>
  [...Map.groupBy(rows, ({ arm }) => arm!)].map(([arm, ofArm]) => {
    const columns = Object.keys(ofArm[0]!).filter((column) => column !== "arm" && column !== "round")
    const mean = (column: string) => ofArm.reduce((sum, row) => sum + Number(row[column]), 0) / ofArm.length
    return { arm, ...Object.fromEntries(columns.map((column) => [column, mean(column) < 100 ? Math.round(mean(column) * 10) / 10 : Math.round(mean(column))])) }
  })

const read = (name: string): Result | undefined => {
  const file = new URL(`${name}.json`, directory)
  return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) as Result : undefined
}

const section = ({ date, load, machine, rows, title }: Result): string =>
  `${title}. Measured on ${date.replace("T", " ")} UTC; ${machine}; load at the end ${load}.\n\n${table(rows)}\n`

const table = (rows: ReadonlyArray<Row>): string => {
  const columns = Object.keys(rows[0] ?? {})
  const lines = [columns, columns.map(() => "---"), ...rows.map((row) => columns.map((column) => text(row[column])))]
  return lines.map((cells) => `| ${cells.join(" | ")} |\n`).join("")
}

const text = (value: string | number | undefined): string => typeof value === "number" ? value.toLocaleString("en-US") : value ?? ""
