import { quoteLiteral } from "../domain/SqlIdentifier.ts"

/**
 * The settings that decide how Postgres writes values as text. The same in the stream and in the snapshot, whatever
 * the role's or the database's defaults are, so that a row read twice gives the same bytes.
 */
const textOutput: Readonly<Record<string, string>> = {
  DateStyle: "ISO, YMD",
  IntervalStyle: "postgres",
  TimeZone: "UTC",
  extra_float_digits: "1", // the shortest text that reads back as the same number
  bytea_output: "hex",
  lc_monetary: "C",
  client_encoding: "UTF8"
}

/** One statement that applies them and `more` to a session; plain SQL, as a replication connection takes no parameters. */
export const statement = (more: Readonly<Record<string, string>> = {}): string =>
  `select ${
    Object.entries({ ...textOutput, ...more })
      .map(([name, value]) => `set_config(${quoteLiteral(name)}, ${quoteLiteral(value)}, false)`).join(", ")
  }`
