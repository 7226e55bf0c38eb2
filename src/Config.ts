import { Config, ConfigProvider, Context, Effect, Layer, Redacted, Schema } from "effect"
import { existsSync, readFileSync } from "node:fs"
import { parse as parseYaml } from "yaml"
import { atLeast, attempt, columnList, identifierUpTo63, list, requireBytes } from "./ConfigOption.ts"
import * as ColumnName from "./domain/ColumnName.ts"
import * as TableName from "./domain/TableName.ts"

/**
 * The whole configuration, one section per stage. Values come, the stronger first, from the environment
 * (`CDC_<SECTION>_<KEY>`, and the short names that everybody tries first: `DATABASE_URL`, `KAFKA_BROKERS`, `PORT`,
 * `LOG_LEVEL`), from `--config FILE`, from the embedded servers if they run, and from `config/default.yaml`,
 * which says what each option means.
 */
const source = Config.all({
  databaseUrl: Config.Redacted("databaseUrl"),
  slot: identifierUpTo63("slot"),
  publication: Config.NonEmptyString("publication"),
  stateSchema: identifierUpTo63("stateSchema"),
  tables: Config.NonEmptyString("tables").pipe(Config.mapEffect((text) => attempt(() => TableName.parseList(text)))),
  walSenderTimeoutSeconds: Config.Int("walSenderTimeoutSeconds"),
  statusIntervalSeconds: Config.Finite("statusIntervalSeconds"),
  maxBufferedBytes: Config.Int("maxBufferedBytes"),
  poolSize: Config.Int("poolSize")
}).pipe(Config.nested("source"))

const kafka = Config.all({
  brokers: list("brokers"),
  topicPrefix: Config.NonEmptyString("topicPrefix"),
  partitions: Config.Int("partitions"),
  replicationFactor: Config.Int("replicationFactor"),
  tls: Config.Boolean("tls"),
  saslMechanism: Config.Literals(["none", "plain", "scram-sha-256", "scram-sha-512"], "saslMechanism"),
  saslUsername: Config.String("saslUsername").pipe(Config.withDefault("")),
  saslPassword: Config.Redacted("saslPassword").pipe(Config.withDefault(Redacted.make(""))),
  cleanupPolicy: Config.Literals(["compact", "delete", "compact,delete"], "cleanupPolicy"),
  deleteRetentionHours: Config.Int("deleteRetentionHours"),
  minCompactionLagHours: Config.Int("minCompactionLagHours"),
  maxMessageBytes: Config.Int("maxMessageBytes"),
  deadLetterRetentionHours: Config.Int("deadLetterRetentionHours"),
  eventTopics: list("eventTopics"),
  eventRetentionHours: Config.Int("eventRetentionHours")
}).pipe(Config.nested("kafka"))

const snapshot = Config.all({
  readers: atLeast(1, "readers"),
  pieceBytes: atLeast(1, "pieceBytes"),
  chunkBytes: atLeast(1, "chunkBytes")
}).pipe(Config.nested("snapshot"))

const publish = Config.all({
  batchBytes: Config.Int("batchBytes"),
  maxRecordBytes: atLeast(1_000, "maxRecordBytes"),
  compression: Config.Literals(["none", "gzip", "lz4", "zstd"], "compression"),
  tombstones: Config.Boolean("tombstones"),
  truncates: Config.Boolean("truncates")
}).pipe(Config.nested("publish"))

const types = Config.all({
  decimalHandlingMode: Config.Literals(["string", "precise", "double"], "decimalHandlingMode"),
  timePrecisionMode: Config.Literals(
    ["adaptive", "adaptive_time_microseconds", "microseconds", "nanoseconds", "connect", "isostring"], "timePrecisionMode"),
  intervalHandlingMode: Config.Literals(["numeric", "string"], "intervalHandlingMode"),
  hstoreHandlingMode: Config.Literals(["json", "map"], "hstoreHandlingMode"),
  binaryHandlingMode: Config.Literals(["bytes", "base64", "base64-url-safe", "hex"], "binaryHandlingMode"),
  moneyFractionDigits: Config.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 9 })), "moneyFractionDigits"),
  unavailableValuePlaceholder: Config.NonEmptyString("unavailableValuePlaceholder").pipe(Config.mapEffect((text) => attempt(() => requireBytes(text))))
}).pipe(Config.nested("types"))

const columns = Config.all({
  exclude: columnList("exclude", ColumnName.parse),
  hash: columnList("hash", ColumnName.parse),
  truncate: columnList("truncate", ColumnName.parseWithLength),
  hashSalt: Config.Redacted("hashSalt").pipe(Config.withDefault(Redacted.make("")))
}).pipe(Config.nested("columns"))

const consume = Config.all({
  maxBytesPerPartition: Config.Int("maxBytesPerPartition"),
  maxBatchChanges: Config.Int("maxBatchChanges"),
  maxCheckpointAgeHours: Config.Finite("maxCheckpointAgeHours")
}).pipe(Config.nested("consume"))

const http = Config.all({
  port: Config.Port("port").pipe(Config.withDefault(8085)),
  host: Config.NonEmptyString("host")
}).pipe(Config.nested("http"))

const log = Config.all({
  level: Config.Literals(["trace", "debug", "info", "warn", "error"], "level"),
  format: Config.Literals(["json", "pretty", "auto"], "format")
}).pipe(Config.nested("log"))

const pipelines = Config.all({
  enabled: list("enabled").pipe(Config.map((names) => names.filter((name) => name !== "none"))), // an empty variable is as none at all
  pendingRetrySeconds: Config.Finite("pendingRetrySeconds"),
  deadLetterBreaker: Config.all({
    moreThan: Config.Finite("moreThan"),
    morePercentThan: Config.Finite("morePercentThan"),
    ofLast: Config.Finite("ofLast")
  }).pipe(Config.nested("deadLetterBreaker"))
}).pipe(Config.nested("pipelines"))

const sections = Config.all({ source, snapshot, kafka, publish, types, columns, consume, http, log, pipelines })

/** `shadow`: runs beside whatever writes the hub's rows, and writes nothing but its own state. */
export type PipelineMode = "live" | "shadow"

const ofPipeline = (pipeline: string) =>
  Config.all({
    mode: Config.Literals(["live", "shadow"], "mode").pipe(Config.withDefault("live" as const)),
    lingerMillis: Config.schema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_000 })), "lingerMillis").pipe(Config.withDefault(0))
  }).pipe(Config.nested(pipeline), Config.nested("pipelines"))

type Sections = Effect.Success<typeof sections>

export type Settings = Sections & {
  readonly pipelines: Sections["pipelines"] & {
    /** By the pipeline's name; absent: `live`. */
    readonly modes: Readonly<Record<string, PipelineMode>>
    /** By the pipeline's name; absent: 0. */
    readonly lingerMillis: Readonly<Record<string, number>>
  }
  /** The business settings of each pipeline, by name; each pipeline validates its own. */
  readonly pipelineSettings: Readonly<Record<string, unknown>>
}

/** The configuration that every stage reads. */
export class AppConfig extends Context.Service<AppConfig, Settings>()("cdc/Config") {
  /** Reads `file` (if given) over the defaults, and the environment over both. Fails with a `ConfigurationError`. */
  static readonly layer = (file?: string) => Layer.effect(AppConfig, load(file))
  /** `values` over the defaults, and nothing of the environment: for tests. */
  static readonly layerOf = (values: Readonly<Record<string, unknown>>) => Layer.effect(AppConfig, loadOf(values))
}

/** What is wrong with the configuration, and where. The process ends with exit code 2. */
export class ConfigurationError extends Schema.TaggedError<ConfigurationError>()("ConfigurationError", {
  message: Schema.String
}) {}

const projectRoot = new URL("..", import.meta.url)
/** Written by the embedded servers while they run, so that every verb finds them: `{source:{databaseUrl},kafka:{brokers}}`. */
export const embeddedServersFile = new URL(".data/servers.json", projectRoot)

const load = Effect.fnUntraced(function*(file: string | undefined) {
  const defaults = yield* readYaml(new URL("config/default.yaml", projectRoot))
  const chosen = file === undefined ? {} : yield* readYaml(file)
  yield* refuseUnknown(file ?? "", chosen, defaults)
  const embedded = existsSync(embeddedServersFile) ? yield* readYaml(embeddedServersFile) : {}
  const merged = merge(merge(defaults, embedded), chosen)
  const provider = ConfigProvider.fromUnknown(wellKnownNames(process.env)).pipe(
    ConfigProvider.orElse(ConfigProvider.fromEnv().pipe(ConfigProvider.constantCase, ConfigProvider.nested("CDC"))),
    ConfigProvider.orElse(ConfigProvider.fromUnknown(merged))
  )
  return yield* decode(provider, merged)
})

/** A mistyped option would silently stay at its default. Below `pipelines.settings` each pipeline judges for itself. */
const refuseUnknown = (file: string, chosen: Record<string, unknown>, defaults: Record<string, unknown>) => {
  const withoutDefaults = ["source.databaseUrl", "kafka.brokers", "kafka.saslPassword", "columns.hashSalt", "http.port"]
  const unknown = Object.entries(chosen).flatMap(([section, options]) =>
    !isObject(options) || !isObject(defaults[section])
      ? [section]
      : Object.keys(options).map((key) => `${section}.${key}`).filter((name) =>
        !Object.hasOwn(defaults[section] as object, name.slice(section.length + 1)) && !withoutDefaults.includes(name))
  )
  const ofPipelines = Object.entries(isObject(chosen.pipelines) ? chosen.pipelines : {}).filter(([name, options]) => name !== "settings" && isObject(options))
  const known = (name: string) => (defaults as { pipelines: Record<string, object> }).pipelines[name] ?? {}
  unknown.push(...ofPipelines.flatMap(([name, options]) =>
    Object.keys(options as object).filter((option) => !Object.hasOwn(known(name), option) && !unknown.includes(`pipelines.${name}`)).map((option) => `pipelines.${name}.${option}`)))
  return unknown.length === 0 ? Effect.void : new ConfigurationError({
    message: `${file}: ${unknown.join(", ")} ${unknown.length === 1 ? "is not a section or option" : "are no sections or options"}; config/default.yaml has them all.`
  })
}

const loadOf = Effect.fnUntraced(function*(values: Readonly<Record<string, unknown>>) {
  const merged = merge(yield* readYaml(new URL("config/default.yaml", projectRoot)), values)
  return yield* decode(ConfigProvider.fromUnknown(merged), merged)
})

const decode = Effect.fnUntraced(function*(provider: ConfigProvider.ConfigProvider, merged: Record<string, unknown>) {
  const settings = yield* sections.pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, provider),
    Effect.mapError((error) => new ConfigurationError({ message: explain(String(error)) }))
  )
  if (!isPostgresUrl(Redacted.value(settings.source.databaseUrl))) {
    return yield* new ConfigurationError({ message: "DATABASE_URL must be of the form postgres://role:password@host:port/database." })
  }
  const problem = columnsProblem(settings.columns)
  if (problem !== undefined) return yield* new ConfigurationError({ message: problem })
  const pipelineSettings = (merged as { pipelines: { settings: Record<string, unknown> } }).pipelines.settings
  const each = yield* Effect.forEach(new Set([...settings.pipelines.enabled, ...Object.keys((merged as { pipelines: object }).pipelines)]), (name) =>
    Effect.map(ofPipeline(name), (options) => [name, options] as const)).pipe(
      Effect.provideService(ConfigProvider.ConfigProvider, provider),
      Effect.mapError((error) => new ConfigurationError({ message: explain(String(error)) }))
    )
  const pipelines = {
    ...settings.pipelines,
    modes: Object.fromEntries(each.map(([name, { mode }]) => [name, mode])),
    lingerMillis: Object.fromEntries(each.map(([name, { lingerMillis }]) => [name, lingerMillis]))
  }
  return AppConfig.of({ ...settings, pipelines, pipelineSettings })
})

/** What is wrong with the columns' treatment, beyond the spelling of their names. */
const columnsProblem = ({ exclude, hash, hashSalt, truncate }: Settings["columns"]): string | undefined => {
  const names = [...exclude, ...hash, ...truncate].map(ColumnName.format)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) return `columns: ${twice} is listed twice; a column is excluded, hashed or truncated.`
  if (hash.length > 0 && Redacted.value(hashSalt) === "") {
    return "columns.hash needs a secret salt, without which short values could be guessed: set CDC_COLUMNS_HASH_SALT, the same for every process and for good."
  }
  return undefined
}

const wellKnownNames = (env: NodeJS.ProcessEnv) => ({
  source: present({ databaseUrl: env.DATABASE_URL }),
  kafka: present({ brokers: env.KAFKA_BROKERS }),
  http: present({ port: env.PORT }),
  log: present({ level: env.LOG_LEVEL?.toLowerCase() })
})

const present = (values: Record<string, string | undefined>) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined && value !== ""))

/** Never quoted in a message: it has the password. */
const isPostgresUrl = (text: string): boolean => URL.canParse(text) && /^postgres(ql)?:$/.test(new URL(text).protocol)

const readYaml = (file: string | URL) =>
  Effect.try({
    try: () => {
      const values: unknown = parseYaml(readFileSync(file, "utf8")) ?? {}
      if (!isObject(values)) throw new SyntaxError("it must have sections, as config/default.yaml has")
      return values
    },
    catch: (cause) => new ConfigurationError({ message: `Cannot read the configuration file ${file}: ${(cause as Error).message}` })
  })

/** Objects are merged, everything else is replaced. */
const merge = (base: unknown, over: unknown): Record<string, unknown> => {
  const result = { ...(base as Record<string, unknown>) }
  for (const [key, value] of Object.entries(over as Record<string, unknown>)) {
    result[key] = isObject(value) && isObject(result[key]) ? merge(result[key], value) : value
  }
  return result
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const explain = (error: string): string => {
  if (error.includes("databaseUrl")) {
    return "No database: set DATABASE_URL=postgres://… to its direct endpoint, or run `npm start`, which brings an embedded one."
  }
  if (error.includes("brokers")) {
    return "No Kafka: set KAFKA_BROKERS=host:port[,host:port], or run `npm start`, which brings an embedded one."
  }
  return `Wrong configuration: ${error.replace(/(Config|Schema)Error\(|SourceError: |\)+$/g, "").replace(/\s*\n\s*/g, " ")}. config/default.yaml says what each option means.`
}
