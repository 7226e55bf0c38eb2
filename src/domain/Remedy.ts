import * as TableName from "./TableName.ts"

/** What a person does about what can't pass by itself, in one place, so that no message sends anybody to what is not there. */

/** About a gap between database and topics: reads all tables again, under a new epoch, and deletes what was deleted in the gap. */
export const resnapshot = "repair it with `cdc setup --resnapshot`, which reads every table again"

/** About a pipeline that has lost its place, or whose state is wrong or of another version. */
export const replay = (pipeline: string): string => `rebuild it from the topics with \`cdc replay ${pipeline}\``

/** About a table whose changes were missed while the others went on. */
export const readAgain = (table: TableName.TableName): string => `read it again with \`cdc snapshot ${shellWord(TableName.format(table))}\``

/** About a table without a key, which can't be read in parts, nor a row that is read again be told from another one. */
export const withoutKey = (table: TableName.TableName): string => `give it a primary key and ${readAgain(table)}, or ${resnapshot}`

/** About a topic of events that is not there; no table of the hub can fill it. */
export const remakeEvents = "`cdc setup` makes the topic again, and what was not heard is then announced again"

/** As a shell takes it. */
const shellWord = (text: string): string => /^[\w.]+$/.test(text) ? text : `'${text}'`
