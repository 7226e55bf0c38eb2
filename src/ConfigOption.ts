import { Config, ConfigProvider, Effect } from "effect"
import { splitList } from "./domain/SqlIdentifier.ts"

// Options of a kind: how their text is read, and what is said of one that is wrong.

/** Comma-separated. */
export function list(name: string) {
  return Config.NonEmptyString(name).pipe(Config.map((text) =>
    text.split(",").map((part) => part.trim()).filter((part) => part.length > 0)
  ))
}

/** What Postgres takes for an identifier without quotes, whole. */
export function identifierUpTo63(name: string) {
  return Config.NonEmptyString(name).pipe(Config.mapEffect((text) =>
    attempt(() => {
      if (!/^[a-z_][a-z0-9_]{0,62}$/.test(text)) {
        throw new SyntaxError(`${name}: ${JSON.stringify(text)} must be at most 63 lower-case letters, digits and _`)
      }
      return text
    })
  ))
}

/** Often empty, which counts as absent. */
export function columnList<A>(name: string, parse: (text: string) => A) {
  return Config.String(name).pipe(Config.withDefault(""), Config.mapEffect((text) => attempt(() => splitList(text).map(parse))))
}

export function atLeast(least: number, name: string) {
  return Config.Int(name).pipe(Config.mapEffect((value) =>
    attempt(() => {
      if (value < least) throw new SyntaxError(`${name}: ${value} must be at least ${least}`)
      return value
    })
  ))
}

/** Text, or `hex:` and bytes. */
export function requireBytes(text: string): string {
  if (text.startsWith("hex:") && !/^hex:([0-9A-Fa-f]{2})+$/.test(text)) {
    throw new SyntaxError(`unavailableValuePlaceholder: ${JSON.stringify(text)} must have pairs of hexadecimal digits behind hex:`)
  }
  return text
}

/** A failure's message is the option's. */
export function attempt<A>(evaluate: () => A) {
  return Effect.try({
    try: evaluate,
    catch: (cause) => new Config.ConfigError(new ConfigProvider.SourceError({ message: (cause as Error).message }))
  })
}
