import * as TableName from "../../src/domain/TableName.ts"

export interface ConnectorOptions {
  readonly databaseUrl: string
  readonly topicPrefix: string
  readonly slot: string
  readonly tables: ReadonlyArray<TableName.TableName>
}

/** Debezium's Postgres connector as docs/wire-format.md compares with it; all that is not named is at its default. */
export const reference = ({ databaseUrl, slot, tables, topicPrefix }: ConnectorOptions): Record<string, string> => ({
  ...connection(databaseUrl),
  "name": topicPrefix,
  "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
  "tasks.max": "1",
  "plugin.name": "pgoutput",
  "topic.prefix": topicPrefix,
  "slot.name": slot,
  "publication.name": slot,
  "publication.autocreate.mode": "filtered",
  "publish.via.partition.root": "true",
  "schema.include.list": [...new Set(tables.map(({ schema }) => schema))].map(literally).join(","),
  "table.include.list": tables.map(({ schema, table }) => `${literally(schema)}\\.${literally(table)}`).join(","),
  // Ours are in the same WAL; they are no rows.
  "message.prefix.exclude.list": "cdc\\..*",
  "decimal.handling.mode": "string",
  "provide.transaction.metadata": "true",
  "tombstones.on.delete": "true",
  "key.converter": "org.apache.kafka.connect.json.JsonConverter",
  "key.converter.schemas.enable": "false",
  "value.converter": "org.apache.kafka.connect.json.JsonConverter",
  "value.converter.schemas.enable": "false",
  "key.converter.replace.null.with.default": "false",
  "value.converter.replace.null.with.default": "false"
})

const connection = (databaseUrl: string) => {
  const url = new URL(databaseUrl)
  return {
    "database.hostname": url.hostname,
    "database.port": url.port || "5432",
    "database.user": decodeURIComponent(url.username),
    "database.password": decodeURIComponent(url.password),
    "database.dbname": url.pathname.slice(1),
    ...(url.searchParams.has("sslmode") ? { "database.sslmode": url.searchParams.get("sslmode")! } : {})
  }
}

/** As a Java regular expression that matches only this; a comma would end the list's entry. */
const literally = (name: string): string => name.replaceAll(/[^A-Za-z0-9_]/g, (character) => character === "," ? "." : `\\${character}`)
