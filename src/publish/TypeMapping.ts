import type { ColumnType } from "../domain/RowChange.ts"
import type { Modes } from "./types/Modes.ts"
import { makeUnchanged, unchangedText } from "./UnchangedToast.ts"
import type { EncodeText } from "./types/TypeFamily.ts"
import { makeValueEncoder } from "./ValueEncoder.ts"

/** How values are written, compiled from the configuration (`types`); asked once per column of a relation. */
export interface TypeMapping {
  readonly encoderOf: (type: ColumnType) => EncodeText
  /** JSON text for a value that Postgres did not send because it is stored out of line and did not change. */
  readonly unchangedOf: (type: ColumnType) => string
  /** The same for a value that is published as a string, whatever its type. */
  readonly unchangedText: string
}

export const make = (modes: Modes): TypeMapping => ({
  encoderOf: makeValueEncoder(modes),
  unchangedOf: makeUnchanged(modes),
  unchangedText: unchangedText(modes)
})
