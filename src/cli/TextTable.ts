/** A column's head; a number is read from its end, and so flush right. */
export type Column = string | { readonly right: string }

export const right = (name: string): Column => ({ right: name })

/**
 * Lines for a terminal, columns as wide as their widest cell. A longer cell than `widest` is cut, so that a row stays readable. Cells may
 * hold what anybody has written into the hub: none of it tells the terminal what to do.
 */
export const textTable = (columns: ReadonlyArray<Column>, rows: ReadonlyArray<ReadonlyArray<string>>, widest = Infinity): string => {
  const head = columns.map((column) => typeof column === "string" ? column : column.right)
  const cut = rows.map((cells) => cells.map(printable).map((cell) => cell.length > widest ? `${cell.slice(0, widest - 1)}…` : cell))
  const widths = head.map((name, n) => Math.max(name.length, ...cut.map((cells) => cells[n]!.length)))
  return [head, ...cut].map((cells) =>
    cells.map((cell, n) => typeof columns[n] === "string" ? cell.padEnd(widths[n]!) : cell.padStart(widths[n]!)).join("  ").trimEnd()
  ).join("\n")
}

/** Control characters, and those that turn the direction of writing, as JSON spells them. */
const printable = (cell: string): string => cell.replace(unprintable, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)

const unprintable = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu
