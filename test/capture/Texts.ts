import type { WalMessage } from "../../src/capture/WalMessage.ts"
import type { Tuple } from "../../src/domain/RowChange.ts"

/** All columns of a row, as texts. */
export const textsOf = (row: Tuple): Array<string | null | undefined> => Array.from({ length: row.length }, (_, column) => row.at(column))

/** The message with arrays of texts as rows, so that it can be compared. */
export const withTexts = (message: WalMessage): WalMessage => {
  switch (message._tag) {
    case "Insert":
      return { ...message, after: textsOf(message.after) }
    case "Update":
      return { ...message, before: message.before && { ...message.before, tuple: textsOf(message.before.tuple) }, after: textsOf(message.after) }
    case "Delete":
      return { ...message, before: { ...message.before, tuple: textsOf(message.before.tuple) } }
    default:
      return message
  }
}
