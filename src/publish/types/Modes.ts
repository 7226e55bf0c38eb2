import type { Settings } from "../../Config.ts"

/**
 * Debezium's options of how values are written, by its names in camel case (`decimal.handling.mode` is
 * `decimalHandlingMode`). What each does to which type: docs/wire-format.md, "Modes".
 * Source: https://debezium.io/documentation/reference/3.6/connectors/postgresql.html, "Data type mappings"
 */
export type Modes = Settings["types"]
