import type { Row } from "./Report.ts"

const width = 760
const labelWidth = 150
const barWidth = 480
const rowHeight = 22
const titleHeight = 34

/** An SVG with a bar per arm for each of some columns, each column to its own scale; readable on a light page and on a dark one. */
export const bars = (rows: ReadonlyArray<Row>, columns: Readonly<Record<string, string>>): string => {
  const groupHeight = titleHeight + rows.length * rowHeight
  const groups = Object.entries(columns).map(([column, title], group) => bargroup(rows, column, title, group * groupHeight))
  const height = groups.length * groupHeight + 10
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="13" fill="#777">\n${groups.join("")}</svg>\n`
}

const bargroup = (rows: ReadonlyArray<Row>, column: string, title: string, top: number): string => {
  const most = Math.max(...rows.map((row) => Number(row[column])))
  const lines = rows.map((row, index) => {
    const y = top + titleHeight + index * rowHeight
    const arm = String(row.arm)
    const length = Math.round((Number(row[column]) / most) * barWidth)
    return `<text x="${labelWidth - 8}" y="${y + 13}" text-anchor="end">${escape(arm)}</text>` +
      `<rect x="${labelWidth}" y="${y}" width="${length}" height="${rowHeight - 5}" fill="${arm.startsWith("ours") ? "#2f81f7" : "#8b949e"}"/>` +
      `<text x="${labelWidth + length + 6}" y="${y + 13}">${Number(row[column]).toLocaleString("en-US")}</text>\n`
  })
  return `<text x="${labelWidth}" y="${top + 24}" font-weight="bold">${escape(title)}</text>\n${lines.join("")}`
}

const escape = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;")
