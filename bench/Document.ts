import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { directory, type Result, type Row } from "./Report.ts"

const documents = ["docs/performance.md", "README.md"].map((path) => new URL(`../${path}`, import.meta.url))

/** Puts what `bench/results` has between `<!-- bench NAME -->` and `<!-- end -->`, wherever that stands. */
export const write = (): void => {
  for (const document of documents) {
    const text = readFileSync(document, "utf8")
    writeFileSync(document, text.replaceAll(/(<!-- bench (\w+) -->\n)[^]*?(<!-- end -->)/g, (all, start: string, name: string, end: string) => {
      const result = read(name)
      return result === undefined ? all : `${start}${section(result)}${end}`
    }))
  }
}

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
